"""Which files of a folder are data: hidden files and what kdcli itself wrote are not; and the order of the rest.

Every place that lists files for a person (sources, ``predict``, ``export --images``) lists them with this.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from kdcli.sources.file_names import natural_key, natural_order, prefix_of, with_endings

_SYSTEM = frozenset({"__macosx", "@eadir", "thumbs.db", "desktop.ini", "$recycle.bin", "system volume information"})
"""What operating systems and network drives leave behind without a dot in front, lower case."""
_PHOTOS = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG", ".webp", ".bmp", ".tif", ".tiff", ".ppm")
_OWN = (".json", ".colour.png")
_MANIFEST_BYTES = 1 << 22
_SIDECAR_BYTES = 1 << 16


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is none of the person's own: ``._a.png``, ``.ipynb_checkpoints``."""
    return name.startswith(".") or name.lower() in _SYSTEM


def folders_in(folder: Path) -> list[Path]:
    """Return the folders in a folder, also links to some, by name; hidden ones and kdcli's own are left out."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if not is_hidden(entry.name) and _is_folder(entry))
    except OSError:  # a folder that we may not read holds nothing for us
        return []
    return [folder / name for name in names if not is_own_folder(folder / name)]


def list_files(
    folder: Path, suffixes: Iterable[str] | None, *, recursive: bool = False, own: list[Path] | None = None
) -> list[Path]:
    """Return the files of a folder with one of the endings (lower case; None: any), in natural order.

    Hidden files are left out, as are run folders, caches and mixed sets of kdcli below the folder, and what ``kdcli
    predict`` wrote; the files of the latter with these endings are added to ``own``.
    """
    written: list[str] = []
    found = list_paths(folder, suffixes, recursive=recursive, own=written)
    if own is not None:
        own += map(Path, written)
    return [Path(path) for path in found]


def list_paths(
    folder: str | Path, suffixes: Iterable[str] | None, *, recursive: bool = False, own: list[str] | None = None
) -> list[str]:
    """Return the same as strings, which cost a tenth of paths: a set has many files."""
    endings = None if suffixes is None else tuple(suffixes)
    root, kept = prefix_of(folder), list[str]()
    for below, names in _walk(root, "", recursive):
        fitting = names if endings is None else with_endings(names, endings)
        written = own_outputs(Path(root + below), frozenset(names)) if with_endings(names, _OWN) else frozenset()
        if written:
            if own is not None:
                own += [root + below + name for name in fitting if name in written]
            fitting = [name for name in fitting if name not in written]
        kept += [below + name for name in fitting] if below else fitting
    return [root + name for name in natural_order(kept)]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle, a disk that does not answer
        return False


def data_files(files: Iterable[str], own: list[str]) -> list[str]:
    """Return which files are neither hidden nor written by ``kdcli predict``; the latter are added to ``own``."""
    written: dict[str, frozenset[str]] = {}
    clean: dict[str, bool] = {}
    kept = []
    for path in files:
        cut = path.rfind(os.sep) + 1
        folder, name = path[:cut], path[cut:]
        if folder not in written:
            written[folder] = own_outputs(Path(folder), frozenset(os.listdir(folder or ".")))  # noqa: PTH208
            clean[folder] = not any(map(_is_system, Path(folder).parts))
        if name in written[folder]:
            own.append(path)
        elif clean[folder] and not _is_system(name):
            kept.append(path)
    return kept


def _is_system(name: str) -> bool:
    return name.lower() in _SYSTEM


def _walk(root: str, at: str, recursive: bool) -> Iterator[tuple[str, list[str]]]:
    """Yield the names of the files of a folder, then of those below it, each with the way there from the root."""
    names, below = list[str](), []
    with os.scandir(root + at or ".") as entries:
        for entry in entries:
            name = entry.name
            if name[0] == "." or name.lower() in _SYSTEM:
                continue
            try:
                folder = entry.is_dir()
            except OSError:  # a link in a circle, a disk that does not answer
                folder = False
            if not folder:
                names.append(name)
            elif recursive and not entry.is_symlink():
                below.append(f"{at}{name}{os.sep}")
    yield at, names
    for way in sorted(below):
        if not is_own_folder(Path(root + way)):
            with suppress(OSError):  # a folder that we may not read holds nothing for us
                yield from _walk(root, way, recursive)


def own_outputs(folder: Path, names: frozenset[str]) -> frozenset[str]:
    """Return which files of a folder ``kdcli predict`` wrote: ``a.depth.png`` beside its ``a.json`` and the like."""
    found: set[str] = set()
    told: dict[str, bool] = {}
    if not with_endings(names, _OWN):
        return frozenset()
    for name in names:
        if name.endswith(".colour.png") and _beside_photo(name.removesuffix(".colour.png"), names):
            found |= {name, *(names & {name.replace(".colour.png", end) for end in (".depth.png", ".depth.npy")})}
            continue
        parts = name.split(".")
        for end in range(1, len(parts) - 1):
            side = ".".join(parts[:end]) + ".json"
            if side in names and told.setdefault(side, is_sidecar(folder / side)):
                found |= {name, side}
                break
    return frozenset(found)


def _beside_photo(stem: str, names: frozenset[str]) -> bool:
    """Whether a photograph has both a map and a picture of it beside it, as ``kdcli predict`` calls them."""
    photo = any(f"{stem}{ending}" in names for ending in _PHOTOS)
    return photo and (f"{stem}.depth.png" in names or f"{stem}.depth.npy" in names)


def is_sidecar(path: Path) -> bool:
    """Whether a file is what ``kdcli predict`` writes beside its maps to say what they are."""
    document = read_json(path)
    return {"kdcli", "depth_kind", "name"} <= document.keys()


def is_own_folder(folder: Path) -> bool:
    """Whether a folder is a run, a study, a cache or a mixed set of kdcli, by what describes it."""
    manifest = folder / "manifest.json"
    try:
        if (folder / "study.json").is_file() and (folder / "study.toml").is_file():
            return True
        if not manifest.is_file():
            return False
        if (folder / "config.toml").is_file():
            return True
    except OSError:
        return False
    return str(read_json(manifest, _MANIFEST_BYTES).get("format", "")).startswith("kdcli.")


def read_json(path: Path, most: int = _SIDECAR_BYTES) -> dict[str, object]:
    """Return a small JSON object of a file; an empty one where there is none."""
    try:
        with path.open("rb") as stream:
            content = stream.read(most + 1)
        document = json.loads(content) if len(content) <= most else None
    except (OSError, ValueError, RecursionError):  # somebody else's file
        return {}
    return document if isinstance(document, dict) else {}


__all__ = [
    "data_files", "folders_in", "is_hidden", "is_own_folder", "is_sidecar", "list_files", "list_paths",
    "natural_key", "own_outputs", "read_json",
]
