"""What is known of a finished run, as it may be handed on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdcli.errors import ConfigError, DataError
from kdcli.exporters.card import fingerprint
from kdcli.exporters.endings import is_exported
from kdcli.exporters.loaded import load_exported
from kdcli.exporters.sizes import files_of
from kdcli.hub.declared import PICTURE
from kdcli.sharing.private import cleaned
from kdcli.students.files import find_student, load_student
from kdcli.training.run.finish import labels_of
from kdcli.training.run.folder import RunFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A file that runs elsewhere: what it says of itself, and the files that belong to it, itself first."""

    path: Path
    card: Mapping[str, Any]
    size: tuple[int, int] | None
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A finished run: its manifest, its student's own card, both without folders, and the files that exist of it."""

    run: RunFolder
    manifest: Mapping[str, Any]
    card: Mapping[str, Any]
    student: Path
    parameters: int
    labels: Mapping[str, str]
    about: str
    exported: tuple[Exported, ...]
    picture: Path | None
    left_out: tuple[str, ...]
    """Files that look exported and are not of this student, or cannot be read: each with the reason."""

    @property
    def results(self) -> Mapping[str, Any]:
        """Results by role; empty where nothing was measured."""
        found: Mapping[str, Any] = self.manifest.get("eval") or {}
        return found if "student" in found else {}


def facts_of(path: Path, *, more: tuple[Path, ...] = (), picture: bool = True) -> Facts:
    """Read a finished run. more: exported files that lie elsewhere. picture: take its picture along.

    Raises:
        DataError: no run, or a damaged one. ConfigError: one that is not finished, or a file that is none of this
            student's. WeightsError: no student, or a broken one.
    """
    if path.is_file():
        raise DataError(f"'{path}' is a file; give the folder of its run")
    run = RunFolder.open(path)
    manifest = run.manifest()
    if manifest["state"] != "finished":
        raise ConfigError(f"run '{path}' is {manifest['state']}, and what it comes to is not known; finish it with: "
                          f"kdcli distill --resume {path}")
    student = find_student(path)
    network, card = load_student(student)
    mark = fingerprint(network)
    exported, left = [], []
    for one in sorted(path.iterdir()):
        if is_exported(one.name):
            try:
                exported.append(_exported(one, mark))
            except Exception as error:  # a runtime that is missing, a file cut short: it stays here, with a word on why
                left.append(f"{one.name} is left out: {error}")
    there = {one.path.resolve() for one in exported}
    exported += [_exported(one, mark) for one in more if one.resolve() not in there]
    names = [one.path.name for one in exported]
    if len(set(names)) < len(names):
        raise ConfigError(f"two exported files have the name '{max(names, key=names.count)}'; rename one")
    try:
        config = run.config()
        labels, about = labels_of(config), config.about
    except ConfigError:  # a recipe of a later or damaged form hides no results
        labels, about = {}, ""
    shown = path / PICTURE
    return Facts(
        run=run, manifest=cleaned(manifest), card=cleaned(card), student=student,
        parameters=sum(one.numel() for one in network.parameters()), labels=labels, about=about,
        exported=tuple(exported), picture=shown if picture and shown.is_file() else None, left_out=tuple(left),
    )


def _exported(path: Path, mark: str) -> Exported:
    """Open an exported file, which proves that it is whole.

    Raises:
        ConfigError: it was exported from another model. WeightsError: it cannot be read.
    """
    if not path.exists():
        raise ConfigError(f"there is no exported file at '{path}'; check the path")
    model = load_exported(path)
    if model.card.get("sha256") != mark:
        raise ConfigError(f"'{path}' was exported from another model than this student; export it again")
    files = [file for one in files_of(path) for file in (sorted(one.rglob("*")) if one.is_dir() else [one])]
    return Exported(
        path=path, card=model.card, size=model.input_size, files=tuple(file for file in files if file.is_file()),
    )
