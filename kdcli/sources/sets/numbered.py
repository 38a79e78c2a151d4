"""Frames that are called by their number, with leading zeros or without, and lists of the scenes that hold them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from kdcli.errors import DataError
from kdcli.files import at_home
from kdcli.sources.listing import is_hidden
from kdcli.sources.pairing.left_out import LeftOut
from kdcli.sources.texts.numbers import read_lines
from kdcli.types import Finding

T = TypeVar("T")


def numbered(folder: Path, endings: Iterable[str], left: LeftOut) -> dict[int, str]:
    """Return the files of a folder that are called by a number, in the order of their numbers.

    Of two of one number the last by name is taken.
    """
    wanted, found = frozenset(endings), dict[int, str]()
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 - names, not paths
    except OSError:  # no such folder, or one that we may not read
        return {}
    for name in names:
        stem, ending = os.path.splitext(name)  # noqa: PTH122
        if ending.lower() in wanted and stem.isdecimal() and not is_hidden(name):
            if int(stem) in found:
                left.doubles.append((str(folder / name), str(folder / found[int(stem)])))
            found[int(stem)] = name
    return dict(sorted(found.items()))


class Names:
    """The names of numbered files; where they follow one pattern, nothing but that."""

    def __init__(self, files: Mapping[int, str]) -> None:
        self._names: Mapping[int, str] = files
        self._known: frozenset[int] | range = frozenset(files)
        self._pattern: str | None = None
        if not files:
            return
        stem, ending = os.path.splitext(next(iter(files.values())))  # noqa: PTH122
        for pattern in (f"{{}}{ending}", f"{{:0{len(stem)}}}{ending}"):
            if all(pattern.format(number) == name for number, name in files.items()):
                self._pattern, self._names = pattern, {}
                break
        whole = range(min(files), max(files) + 1)
        self._known = whole if len(whole) == len(files) else self._known

    def of(self, number: int) -> str | None:
        """Return the name of a file; None where there is none of this number."""
        if number not in self._known:
            return None
        return self._names[number] if self._pattern is None else self._pattern.format(number)


def scenes_of(root: Path, given: str | None, split: str | None, pattern: str) -> list[str] | None:
    """Return the names of a list of scenes, or None where all are meant.

    given: the list, as written or below the root. pattern: what the list of a split is called, with ``{}`` for it,
    looked for in the root and beside it.

    Raises:
        DataError: it does not exist, or names nothing.
    """
    if given is None and split is None:
        return None
    if given is not None:
        places = [at_home(given), root / given]
    else:
        name = pattern.format(split)
        places = [where / name for where in (root, root.absolute().parent, root / "splits", root / "meta_data")]
    path = next((path for path in places if path.is_file()), None)
    if path is None:
        what = given or pattern.format(split)
        raise DataError(f"list '{what}' of scenes is not in '{root}' nor beside it; download it or give list=FILE")
    lines = (line.strip() for line in read_lines(path, "names of scenes, one a line"))
    scenes = [line for line in dict.fromkeys(lines) if line and not line.startswith("#")]
    if not scenes:
        raise DataError(f"'{path}' names no scene; give a list of names, one a line")
    return scenes


def chosen(scenes: Mapping[str, T], wanted: Sequence[str] | None, where: str) -> tuple[list[T], list[Finding]]:
    """Return the scenes that a list names, in its order, and say which of them are not there.

    Raises:
        DataError: none is.
    """
    if wanted is None:
        return list(scenes.values()), []
    found = [scenes[name] for name in wanted if name in scenes]
    absent = [name for name in wanted if name not in scenes]
    if not found:
        raise DataError(f"none of the {len(wanted)} scenes of the list is in '{where}', such as '{absent[0]}'; give "
                        "the folder that holds them")
    if not absent:
        return found, []
    message = f"{len(absent)} of {len(wanted)} scenes of the list are not in '{where}', such as '{absent[0]}'"
    return found, [Finding(level="warning", message=message, path=where)]
