"""``rgbd:DIR``: colour and depth of a depth camera, in the layouts that recorders and benchmarks write."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from kdcli.errors import DataError
from kdcli.images import DEPTH_SUFFIXES, IMAGE_SUFFIXES
from kdcli.protocols import API_VERSION
from kdcli.sources.lists import existing_root
from kdcli.sources.matching import list_files, match_names, match_times
from kdcli.sources.pairs import Pair, PairSource, Selection

TUM_SCALE = 5000.0
"""Units per metre in files of the TUM RGB-D benchmark."""

_COLOUR_FOLDERS = ("rgb", "color", "colour", "image", "images")
_DEPTH_FOLDERS = ("depth", "depths", "depth_map", "depth_maps")
_ASSOCIATIONS = ("associations.txt", "association.txt", "associate.txt", "assoc.txt")
_CAMERAS = ("camera-intrinsics.txt", "camera_intrinsics.txt", "intrinsics.txt")
_ROLE = re.compile(r"(?:^|(?<=[._-]))(color|colour|rgb|depth)(?=[._-]|$)", re.IGNORECASE)
_LEVELS = 3

Found = list[tuple[Path, Path]]


class RgbdSource(PairSource):
    """Colour and depth of the same frames: TUM association files, parallel folders, or ``*.color.*`` and ``*.depth.*``.

    If DIR itself has none of these, its sub-folders are taken as scenes. scale: stored units per metre, by default 5000
    in the TUM layout, else 1000 for whole numbers and 1 for floats. ``camera-intrinsics.txt`` (3 x 3) is read where it
    is. start, stop, every, count, seed: as in ``Selection``.
    """

    api_version: ClassVar[int] = API_VERSION
    name = "rgbd"
    usual_median = (0.1, 10.0)

    def __init__(
        self, *, location: str, scale: float | None = None, start: int = 0, stop: int | None = None, every: int = 1,
        count: int | None = None, seed: int | None = None,
    ) -> None:
        root = existing_root(location)
        pairs = _pairs(root, root, _LEVELS)
        if not pairs:
            raise DataError(
                f"'{location}' has no colour with depth: neither associations.txt, nor folders rgb or color beside "
                "depth, nor files *.color.* with *.depth.*; give the folder that holds them"
            )
        selection = Selection(start=start, stop=stop, every=every, count=count, seed=seed)
        super().__init__(pairs, selection=selection, scale=scale, where=location)


def _pairs(folder: Path, root: Path, levels: int) -> list[Pair]:
    """Return the pairs of a folder by the first layout that it has, else those of its sub-folders."""
    for layout, scale in _LAYOUTS:
        if found := layout(folder):
            camera = _camera(folder)
            return [
                Pair(id=image.relative_to(root).as_posix() if root in image.parents else image.name, image=image,
                     depth=depth, scale=scale, intrinsics=camera)
                for image, depth in found
            ]
    if not levels:
        return []
    below = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    return [pair for path in below for pair in _pairs(path, root, levels - 1)]


def _associated(folder: Path) -> Found:
    """Pairs of an association file: ``time file time file``, colour and depth in either order."""
    path = next((folder / name for name in _ASSOCIATIONS if (folder / name).is_file()), None)
    if path is None:
        return []
    found = []
    for number, words in _rows(path):
        if len(words) != 4:
            raise DataError(f"'{path}' line {number} has {len(words)} words; write 'time colour-file time depth-file'")
        first, second = words[1], words[3]
        if "depth" in first.lower() and "depth" not in second.lower():
            first, second = second, first
        found.append((folder / first, folder / second))
    return found


def _stamped(folder: Path) -> Found:
    """Pairs of ``rgb.txt`` and ``depth.txt`` (``time file``) that are at most 0.02 s apart."""
    lists = folder / "rgb.txt", folder / "depth.txt"
    if not all(path.is_file() for path in lists):
        return []
    images, depths = ([(_time(path, n, words), folder / words[1]) for n, words in _rows(path)] for path in lists)
    found = match_times([time for time, _ in images], [time for time, _ in depths])
    if not found:
        raise DataError(f"'{lists[0]}' and '{lists[1]}' have no time stamps within 0.02 s; give associations.txt")
    return [(images[i][1], depths[j][1]) for i, j in found]


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    try:
        rows = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        raise DataError(f"'{path}' cannot be read as text; give lines of 'time file'") from None
    return [(i, row.split()) for i, row in enumerate(rows, 1) if row.strip() and not row.lstrip().startswith("#")]


def _time(path: Path, number: int, words: list[str]) -> float:
    try:
        if len(words) == 2:
            return float(words[0])
    except ValueError:
        pass
    raise DataError(f"'{path}' line {number} is '{' '.join(words)[:60]}'; write 'time file'")


def _parallel(folder: Path) -> Found:
    """Pairs of two folders, by name."""
    both = _both_folders(folder)
    if both is None:
        return []
    images, depths = both
    names = {path.stem: path for path in images}
    matched = match_names(names, {path.stem: path for path in depths})
    return [(names[name], depth) for name, depth in matched.items()]


def _parallel_times(folder: Path) -> Found:
    """Pairs of two folders whose files are named by time stamps in seconds that are at most 0.02 s apart."""
    both = _both_folders(folder)
    if both is None:
        return []
    try:
        times = [[float(path.stem) for path in files] for files in both]
    except ValueError:
        return []
    return [(both[0][i], both[1][j]) for i, j in match_times(*times)]


def _both_folders(folder: Path) -> tuple[list[Path], list[Path]] | None:
    below = {path.name.lower(): path for path in folder.iterdir() if path.is_dir()}
    colour = next((below[name] for name in _COLOUR_FOLDERS if name in below), None)
    depth = next((below[name] for name in _DEPTH_FOLDERS if name in below), None)
    if colour is None or depth is None:
        return None
    return list_files(colour, IMAGE_SUFFIXES), list_files(depth, DEPTH_SUFFIXES)


def _side_by_side(folder: Path) -> Found:
    """Pairs of files of one folder whose names differ in one word: ``N.color.png`` and ``N.depth.png``."""
    roles: tuple[dict[str, Path], dict[str, Path]] = ({}, {})
    for path in list_files(folder, IMAGE_SUFFIXES | DEPTH_SUFFIXES):
        word = _ROLE.search(path.stem)
        if word is None:
            continue
        is_depth = word[1].lower() == "depth"
        if path.suffix.lower() in (DEPTH_SUFFIXES if is_depth else IMAGE_SUFFIXES):
            roles[is_depth].setdefault(path.stem[: word.start()] + "*" + path.stem[word.end() :], path)
    images, depths = roles
    return [(image, depths[key]) for key, image in images.items() if key in depths]


_LAYOUTS: tuple[tuple[Callable[[Path], Found], float | None], ...] = (
    (_associated, TUM_SCALE), (_stamped, TUM_SCALE), (_parallel, None), (_parallel_times, TUM_SCALE),
    (_side_by_side, None),
)


def _camera(folder: Path) -> tuple[float, float, float, float] | None:
    """Return fx, fy, cx, cy of a 3 x 3 (or larger) matrix of numbers in the folder or the one above."""
    paths = [where / name for where in (folder, folder.parent) for name in _CAMERAS]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        return None
    try:
        rows = [[float(word) for word in row.replace(",", " ").split()] for row in path.read_text().splitlines()]
        rows = [row for row in rows if row]
        return rows[0][0], rows[1][1], rows[0][2], rows[1][2]
    except (OSError, ValueError, IndexError):
        raise DataError(f"'{path}' is not a 3 x 3 matrix of numbers; correct it or remove it") from None
