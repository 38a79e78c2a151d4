"""A column of files: the folder of each by its number, and its name."""

from __future__ import annotations

import os
from array import array
from collections.abc import Sequence
from itertools import repeat
from pathlib import Path
from typing import Any

from kdcli.rasters import Element, Member
from kdcli.sources.table.columns import Texts

_NONE, _ODD = 0xFFFFFFFF, 0xFFFFFFFE
_MEMBER, _ELEMENT = "\0m", "\0e"
"""What stands between a file and what is meant inside of it; no path has the first of these signs."""


class Folders:
    """Folders by number, each as the folder above it and its own name: many sets have some folders an image.

    A folder is what stands before the names of its files, such as ``data/rgb/``.
    """

    def __init__(self) -> None:
        self._known = {"": 0}
        self._above, self._names = array("I", [0]), Texts()
        self._names.extend([""])
        self._last = (0, "")

    def number(self, folder: str) -> int:
        """Return the number of a folder, a new one where it has none."""
        if (known := self._known.get(folder)) is not None:
            return known
        cut = folder.rfind(os.sep, 0, len(folder) - 1) + 1
        above = self.number(folder[:cut])
        self._above.append(above)
        self._names.extend([folder[cut:]])
        return self._known.setdefault(folder, len(self._known))

    def __getitem__(self, number: int) -> str:
        if number == self._last[0]:
            return self._last[1]
        parts, at = [], number
        while at:
            parts.append(self._names[at])
            at = self._above[at]
        found = "".join(reversed(parts))
        self._last = (number, found)
        return found

    def close(self) -> None:
        """Give back the room that was kept for further folders."""
        self._known, self._above = {}, self._above[:]
        self._names.close()


class Places:
    """One place of each row, or None. What this column does not know is kept as the object that it is.

    A member of a tar, or an array of a file of arrays, is a name behind that file's: the file stands for a folder.
    """

    def __init__(self, folders: Folders) -> None:
        self._folders, self._codes, self._names = folders, array("I"), Texts()
        self._within: array[int] | None = None
        """Offset and size of members, position and whether it is transposed of arrays: two numbers a row."""
        self._odd: dict[int, Any] = {}

    def extend(self, places: Sequence[Any]) -> None:
        """Add rows: paths, as text or not, other places, or None."""
        folders, known, codes = self._folders, self._folders._known, self._codes
        if (names := _of_one_folder(places)) is not None:
            codes.extend(repeat(folders.number(places[0][: len(places[0]) - len(names[0])]), len(names)))
            places = ()
        names = names or []
        for place in places:
            path = place if type(place) is str else self._text(place)
            if path is None:
                if place is not None:
                    self._odd[len(codes)] = place
                codes.append(_NONE if place is None else _ODD)
                names.append("")
                continue
            cut = path.rfind(os.sep) + 1
            folder = path[:cut]
            code = known.get(folder)
            codes.append(folders.number(folder) if code is None else code)
            names.append(path[cut:])
        self._names.extend(names)
        if self._within is not None:
            self._within.extend([0] * (2 * len(codes) - len(self._within)))

    def _text(self, place: Any) -> str | None:
        """Return a place as the text of a path, and note the numbers of one inside of a file."""
        if isinstance(place, Path):
            return str(place)
        if isinstance(place, Member):
            text, numbers = f"{place.archive}{_MEMBER}{place.inner}", (place.offset, place.size)
        elif isinstance(place, Element) and (place.index is None or place.index >= 0):
            at = 0 if place.index is None else place.index + 1
            text, numbers = f"{place.file}{_ELEMENT}{place.key}", (at, int(place.transposed))
        else:
            return None
        if self._within is None:
            self._within = array("Q")
        self._within.extend([0] * (2 * len(self._codes) - len(self._within)))
        self._within.extend(numbers)
        return text

    def __getitem__(self, row: int) -> Any:
        found = self.found(row)
        return Path(found) if type(found) is str else found

    def found(self, row: int) -> Any:
        """Return the same with paths as text."""
        if self._codes[row] >= _ODD:
            return self._odd.get(row)
        text = self.text(row)
        if self._within is None or "\0" not in text:
            return text
        first, second = self._within[2 * row : 2 * row + 2]
        file, member, inner = text.partition(_MEMBER)
        if member:
            return Member(archive=Path(file), inner=inner, offset=first, size=second)
        file, _, key = text.partition(_ELEMENT)
        return Element(file=Path(file), key=key, index=first - 1 if first else None, transposed=bool(second))

    def text(self, row: int) -> str:
        """Return what is known of a place as text, of a path all of it."""
        code = self._codes[row]
        return "" if code >= _ODD else self._folders[code] + self._names[row]

    def close(self) -> None:
        """Give back the room that was kept for further rows."""
        self._codes = self._codes[:]
        self._within = None if self._within is None else self._within[:]
        self._names.close()


def _of_one_folder(places: Sequence[Any]) -> list[str] | None:
    """Return the names of paths that are texts and in one folder, as those of most sets are; None of others."""
    if not places or set(map(type, places)) != {str}:
        return None
    cut = places[0].rfind(os.sep) + 1
    folder = places[0][:cut]
    if not all(map(str.startswith, places, repeat(folder))):
        return None
    names = [path[cut:] for path in places]
    return None if os.sep in "\n".join(names) else names
