"""Which weights kdcli knows by name, and where it looks for them."""

from __future__ import annotations

import functools
import os
import sys
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from kdcli.errors import WeightsError, nearest


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of weights: what it is called, where it comes from and on what terms."""

    name: str
    file: str
    """File name under which it is looked for and stored."""
    url: str | None = None
    """Direct address; None when there is none."""
    hub: str | None = None
    """Repository on the Hugging Face hub that holds ``model.safetensors``."""
    page: str | None = None
    """Where a person gets it when it cannot be fetched directly."""
    how: str = ""
    sha256: str | None = None
    """Expected hash; None where it is not known."""
    size: int | None = None
    """Expected number of bytes; None where it is not known."""
    licence: str = "unknown"
    training_data: str = "unknown"
    depth_range: tuple[float, float] | None = None
    """Least and greatest depth in metres; None for weights that give no depth."""

    @property
    def address(self) -> str | None:
        """The address that ``pull`` fetches; None when a person has to."""
        if self.url is None and self.hub is not None:
            return f"https://huggingface.co/{self.hub}/resolve/main/model.safetensors"
        return self.url

    @property
    def advice(self) -> str:
        """One clause: where to get the file and where to put it."""
        if self.address is not None:
            return f"run `kdcli weights pull {self.name}`, or put {self.file} in {folders()[0]}"
        detail = f" ({self.how})" if self.how else ""
        return f"get {self.file} from {self.page}{detail} and put it in {folders()[0]}"


@functools.cache
def entries() -> dict[str, Entry]:
    """Return the table of known weights by name."""
    text = files("kdcli.weights").joinpath("table.toml").read_text(encoding="utf-8")
    known = {}
    for name, fields in tomllib.loads(text).items():
        low_high = fields.pop("depth_range", None)
        known[name] = Entry(name=name, depth_range=tuple(low_high) if low_high else None, **fields)
    return known


def entry(name: str) -> Entry:
    """Return the entry of a name.

    Raises:
        WeightsError: the name is not in the table.
    """
    known = entries()
    if name not in known:
        raise WeightsError(
            f"weights '{name}' are not known.{nearest(name, known)} "
            f"Known: {', '.join(known)}; or give the path of a file"
        )
    return known[name]


def folders() -> tuple[Path, ...]:
    """Return the folders that are searched, first to last: ``KDCLI_WEIGHTS`` if set, then the user's cache."""
    given = os.environ.get("KDCLI_WEIGHTS")
    chosen = (Path(given).expanduser(),) if given else ()
    return (*chosen, _cache())


def locate(name: str | Path) -> Path:
    """Return the file of a name in the table, a file name, or a path.

    The path itself comes first, then ``KDCLI_WEIGHTS``, then the user's cache.

    Raises:
        WeightsError: it is nowhere; the message says where to get it and where to put it.
    """
    path = Path(name).expanduser()
    known = entries().get(str(name))
    if known is None and path.is_file():
        return path
    file = known.file if known else str(name)
    if known or not (path.is_absolute() or path.parent != Path()):
        for folder in folders():
            if (candidate := folder / file).is_file():
                return candidate
    if known:
        raise WeightsError(f"weights '{name}' are not on this machine; {known.advice}")
    if path.is_dir():
        raise WeightsError(f"'{name}' is a folder, not a file of weights; give the file in it")
    if len(path.parts) > 1 or path.suffix:
        raise WeightsError(f"weights '{name}' do not exist; check the path (also looked in {_listed()})")
    return locate(entry(str(name)).name)


def _listed() -> str:
    return ", ".join(str(folder) for folder in folders())


def _cache() -> Path:
    if given := os.environ.get("XDG_CACHE_HOME"):
        return Path(given) / "kdcli" / "weights"
    if sys.platform == "win32" and (local := os.environ.get("LOCALAPPDATA")):
        return Path(local) / "kdcli" / "weights"
    return Path("~/.cache/kdcli/weights").expanduser()
