"""Which files belong together: natural order, listing, matching by name or by time."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

_DIGITS = re.compile(r"(\d+)")


def natural_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key in which numbers count as numbers: ``frame9`` before ``frame10``."""
    return tuple((0, int(part), part) if part.isdigit() else (1, 0, part) for part in _DIGITS.split(text) if part)


def list_files(folder: Path, suffixes: Iterable[str], *, recursive: bool = False) -> list[Path]:
    """Return the files of a folder with one of the endings (lower case), in natural order; hidden ones are left out."""
    wanted = frozenset(suffixes)
    found = folder.rglob("*") if recursive else folder.iterdir()
    kept = [path for path in found if path.suffix.lower() in wanted and not _hidden(path, folder) and not path.is_dir()]
    return sorted(kept, key=lambda path: natural_key(path.relative_to(folder).as_posix()))


def _hidden(path: Path, below: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(below).parts)


def match_names(images: Mapping[str, Path], depths: Mapping[str, Path]) -> dict[str, Path]:
    """Return the depth file of each image's name.

    Names are relative paths without ending. Equal names match; where none does, names that are the same number
    (``000005`` and ``5``), and then equal last parts, if those are unique.
    """
    for rule in (str, _as_number, _last):
        index: dict[str, list[Path]] = defaultdict(list)
        for name, path in depths.items():
            index[rule(name)].append(path)
        matched = {name: index[rule(name)][0] for name in images if len(index.get(rule(name), ())) == 1}
        if matched:
            return matched
    return {}


def _as_number(name: str) -> str:
    folder, slash, last = name.rpartition("/")
    return folder + slash + (str(int(last)) if last.isdigit() else last)


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def match_times(images: Sequence[float], depths: Sequence[float], *, within: float = 0.02) -> list[tuple[int, int]]:
    """Return pairs of positions of the nearest time stamps, each used once, in the order of the images.

    Times are in seconds. Closest pairs are taken first, as the tools of the TUM RGB-D benchmark do.
    """
    order = sorted(range(len(depths)), key=depths.__getitem__)
    times = [depths[i] for i in order]
    candidates = []
    for i, time in enumerate(images):
        j = bisect_left(times, time - within)
        while j < len(times) and times[j] <= time + within:
            candidates.append((abs(times[j] - time), i, order[j]))
            j += 1
    taken: dict[int, int] = {}
    used: set[int] = set()
    for _, i, j in sorted(candidates):
        if i not in taken and j not in used:
            taken[i] = j
            used.add(j)
    return sorted(taken.items())
