"""Association files of the TUM RGB-D benchmark: colour and depth by time stamps."""

from __future__ import annotations

import math
from pathlib import Path

from kdcli.errors import DataError
from kdcli.images import IMAGE_SUFFIXES
from kdcli.sources.lists import Locator
from kdcli.sources.matching import match_times
from kdcli.sources.texts.lines import check_name, split_words
from kdcli.sources.texts.numbers import number_of, read_lines

_ASSOCIATIONS = ("associations.txt", "association.txt", "associate.txt", "assoc.txt")
_WITHIN = 0.02

Files = list[tuple[str, str]]


def associated(folder: Path) -> Files:
    """Return the pairs of an association file: ``time file time file``, colour and depth in either order.

    Raises:
        DataError: a line of another form.
    """
    path = next((folder / name for name in _ASSOCIATIONS if (folder / name).is_file()), None)
    if path is None:
        return []
    form, found, at = "'time colour-file time depth-file'", list[tuple[str, str]](), Locator([folder])
    image_at = Locator([folder], endings=IMAGE_SUFFIXES)
    for number, words in _rows(path):
        if len(words) != 4:
            raise DataError(f"'{path}' line {number} has {len(words)} words; write {form}")
        for word in (words[0], words[2]):
            if (time := number_of(word)) is not None and not math.isfinite(time):
                raise DataError(f"'{path}' line {number} has the time {word}; write {form}")
        first, second = words[1], words[3]
        for word in (first, second):
            check_name(word, f"'{path}' line {number}")
        if "depth" in first.lower() and "depth" not in second.lower():
            first, second = second, first
        found.append((image_at(first), at(second)))
    return found


def stamped(folder: Path) -> tuple[Files, list[str], list[str]]:
    """Return the pairs of ``rgb.txt`` and ``depth.txt`` (``time file``) that are at most 0.02 s apart, other images,
    and those whose depth is another one by its place in the list: some protocols of videos pair by that.

    Raises:
        DataError: a line of another form, or no pair.
    """
    lists = folder / "rgb.txt", folder / "depth.txt"
    if not all(path.is_file() for path in lists):
        return [], [], []
    at = Locator([folder])
    images, depths = ([(_time(path, n, words), at(words[1])) for n, words in _rows(path)] for path in lists)
    found = match_times([time for time, _ in images], [time for time, _ in depths], within=_WITHIN)
    if not found:
        raise DataError(f"'{lists[0]}' and '{lists[1]}' have no time stamps within {_WITHIN} s; give associations.txt")
    used = {i for i, _ in found}
    others = [path for i, (_, path) in enumerate(images) if i not in used]
    moved = [images[i][1] for i, j in found if i != j]
    return [(images[i][1], depths[j][1]) for i, j in found], others, moved


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    rows = enumerate(read_lines(path, "lines of 'time file'"), 1)
    return [(number, words) for number, row in rows if (words := split_words(row))]


def _time(path: Path, number: int, words: list[str]) -> float:
    time = number_of(words[0])
    if len(words) == 2 and time is not None and math.isfinite(time):
        check_name(words[1], f"'{path}' line {number}")
        return time
    raise DataError(f"'{path}' line {number} is '{' '.join(words)[:60]}'; write 'time file'")
