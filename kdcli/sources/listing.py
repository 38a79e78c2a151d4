"""Which files of a folder are data: hidden files and what kdcli itself wrote are not; and the order of the rest.

Every place that lists files for a person (sources, ``predict``, ``export --images``) lists them with this.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

_DIGITS = re.compile(r"(\d+)")
_SYSTEM = frozenset({"__macosx", "@eadir", "thumbs.db", "desktop.ini", "$recycle.bin", "system volume information"})
"""What operating systems and network drives leave behind without a dot in front, lower case."""
_PHOTOS = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG", ".webp", ".bmp", ".tif", ".tiff", ".ppm")
_MANIFEST_BYTES = 1 << 22
_SIDECAR_BYTES = 1 << 16


def natural_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key in which numbers count as numbers: ``frame9`` before ``frame10``."""
    # Not isdigit: it holds for superscripts too, which are no numbers.
    return tuple((0, int(part), part) if part.isdecimal() else (1, 0, part) for part in _DIGITS.split(text) if part)


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
    wanted = None if suffixes is None else frozenset(suffixes)
    kept: list[str] = []
    for below, names in _walk(folder, "", recursive):
        fitting = [name for name in names if wanted is None or ending_of(name) in wanted]
        written = own_outputs(folder / below, names)
        kept += [below + name for name in fitting if name not in written]
        if own is not None:
            own += [folder / below / name for name in fitting if name in written]
    return [folder / name for name in sorted(kept, key=natural_key)]  # strings: a set has many files


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle, a disk that does not answer
        return False


def ending_of(name: str) -> str:
    """Return the ending of a file's name in lower case, as ``Path.suffix`` has it."""
    dot = name.rfind(".")
    return name[dot:].lower() if 0 < dot < len(name) - 1 else ""


def data_files(files: Iterable[Path], own: list[Path]) -> list[Path]:
    """Return which files are neither hidden nor written by ``kdcli predict``; the latter are added to ``own``."""
    written: dict[Path, frozenset[str]] = {}
    kept = []
    for path in files:
        if path.parent not in written:
            written[path.parent] = own_outputs(path.parent, frozenset(os.listdir(path.parent)))  # noqa: PTH208
        if path.name in written[path.parent]:
            own.append(path)
        elif not any(is_hidden(part) and not part.startswith(".") for part in path.parts):
            kept.append(path)
    return kept


def _walk(root: Path, at: str, recursive: bool) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield the names of the files of a folder, then of those below it, each with the way there from the root."""
    names, below = set(), []
    with os.scandir(root / at) as entries:
        for entry in entries:
            if is_hidden(entry.name):
                continue
            if not _is_folder(entry):
                names.add(entry.name)
            elif recursive and not entry.is_symlink():
                below.append(f"{at}{entry.name}/")
    yield at, frozenset(names)
    for way in sorted(below):
        if not is_own_folder(root / way):
            with suppress(OSError):  # a folder that we may not read holds nothing for us
                yield from _walk(root, way, recursive)


def own_outputs(folder: Path, names: frozenset[str]) -> frozenset[str]:
    """Return which files of a folder ``kdcli predict`` wrote: ``a.depth.png`` beside its ``a.json`` and the like."""
    found: set[str] = set()
    told: dict[str, bool] = {}
    if not any(name.endswith((".json", ".colour.png")) for name in names):
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
