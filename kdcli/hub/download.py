"""A student out of the hub: into its cache, or into a folder, and nothing of it that was not declared and checked."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdcli.drafts import whole_folder
from kdcli.errors import ConfigError, WeightsError
from kdcli.hub.address import Address, parse
from kdcli.hub.client import SECONDS, api, endpoint, page, require_hub, telling
from kdcli.hub.declared import CONFIG, MOST_CONFIG, STUDENT, File, no_student, read
from kdcli.remarks import remark


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A student's files on this machine: their folder, the commit that they are of, and what is declared of them."""

    folder: Path
    commit: str
    files: dict[str, File]

    @property
    def student(self) -> Path:
        """The student's own file."""
        return self.folder / STUDENT


def student_file(text: str | Path) -> Path:
    """Return the file of the student that ``hf:ORG/NAME`` names; what is whole in the hub's cache is used as it is.

    Raises:
        ConfigError: no name of a repository. WeightsError: it cannot be had, is no student, or not what it should be.
    """
    address = parse(text)
    found = cached(address)
    if found is None:
        require_hub(address, "fetched, and it is not in the hub's cache", WeightsError)
        found = fetch(address, [STUDENT])
        remark(f"fetched {address} at commit {found.commit[:12]}; its card with licence and limits: {page(address)}")
    return found.student


def cached(address: Address) -> Fetched | None:
    """Return a student that the hub's cache has, its own file checked; None where it is not there, or not whole."""
    api()  # refuses in a line where the client is missing
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(address.repository, CONFIG, revision=address.revision)
    if not isinstance(config, str):
        return None
    folder = Path(config).parent
    files = read(Path(config), address.repository)
    found = Fetched(folder=folder, commit=folder.name, files=files)
    if not found.student.is_file():
        return None
    try:
        files[STUDENT].verify(found.student, f"{STUDENT} of '{address}'", "")
    except WeightsError:
        _forget(found.student)
        return None
    return found


def fetch(address: Address, names: Iterable[str] | None = None) -> Fetched:
    """Bring files of a student from the hub into its cache; those that are there already are only checked.

    names: of files; None = all that are declared. Where a download stops, files that are whole are kept for the next.

    Raises:
        WeightsError: offline, no such repository, gated, refused, cut short, no student, or of another size or hash.
    """
    require_hub(address, "fetched", WeightsError)
    with telling(address, "fetched", WeightsError):
        client = api()
        info = client.model_info(address.repository, revision=address.revision, files_metadata=True, timeout=SECONDS)
        there = {one.rfilename: one for one in info.siblings or []}
        commit = str(info.sha)
        if CONFIG not in there:
            raise no_student(address.repository, f"it has no {CONFIG}")
        if (there[CONFIG].size or 0) > MOST_CONFIG:
            raise no_student(address.repository, f"its {CONFIG} is too large")
        config = _one(address, CONFIG, commit)
        files = read(config, address.repository)
        wanted = list(files if names is None else names)
        _plausible(address, {name: files[name] for name in wanted}, there, config.parent)
        for name in wanted:
            path = _one(address, name, commit)
            try:
                files[name].verify(path, f"{name} of '{address}'", "it was removed; try again, or ask its author")
            except WeightsError:
                _forget(path)
                raise
        # Only now does the cache's branch move on to this commit: before, it would be one that is not whole.
        _one(address, CONFIG, address.revision)
    return Fetched(folder=config.parent, commit=commit, files=files)


def into(fetched: Fetched, out: Path) -> Path:
    """Copy all files of a student into a new folder, each checked, and return its student's file.

    Raises:
        ConfigError: there is something already. WeightsError: a file of the cache is not what it should be.
    """
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise ConfigError(f"'{out}' is there already; give another --out")
    try:
        with whole_folder(out) as draft:
            shutil.copyfile(fetched.folder / CONFIG, draft / CONFIG)
            for name, one in fetched.files.items():
                target = draft / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(fetched.folder / name, target)
                one.verify(target, f"'{fetched.folder / name}'", "pull it again")
    except FileExistsError:
        raise ConfigError(f"'{out}' is there already; give another --out") from None
    return out / STUDENT


def _one(address: Address, name: str, revision: str | None) -> Path:
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(address.repository, name, revision=revision, endpoint=endpoint()))


def _plausible(address: Address, wanted: dict[str, File], there: dict[str, Any], folder: Path) -> None:
    """Refuse before anything is fetched what is missing, or not as large as declared, or too large for the disk."""
    for name, one in wanted.items():
        if name not in there:
            raise WeightsError(f"'{address}' declares {name}, which is not there; ask its author to push it again")
        size, stored = there[name].size, getattr(there[name].lfs, "sha256", None)
        if size not in (None, one.size) or stored not in (None, one.sha256):
            raise WeightsError(
                f"{name} of '{address}' is not what it should be ({size} bytes there, expected {one.size}, or of "
                "another sha256); ask its author to push it again"
            )
    needed = sum(one.size for name, one in wanted.items() if not (folder / name).is_file())
    if (free := shutil.disk_usage(folder).free) < needed:
        raise WeightsError(f"'{folder}' has {free} bytes free and {needed} are needed; set HF_HOME to another folder")


def _forget(path: Path) -> None:
    """Remove a file of the cache, and what its link leads to."""
    target = path.resolve()
    path.unlink(missing_ok=True)
    target.unlink(missing_ok=True)
