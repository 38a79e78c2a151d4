"""A column of files: the folder of each by its number, and its name."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from kdcli.sources.table.columns import Texts

_NONE, _ODD = 0xFFFFFFFF, 0xFFFFFFFE


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
    """One file of each row, or None. What is no path (a part of a larger file) is kept as it is."""

    def __init__(self, folders: Folders) -> None:
        self._folders, self._codes, self._names = folders, array("I"), Texts()
        self._odd: dict[int, Any] = {}

    def extend(self, places: Sequence[Any]) -> None:
        """Add rows: paths, as text or not, other places, or None."""
        folders, known, names = self._folders, self._folders._known, []
        codes = self._codes
        for place in places:
            path = place if type(place) is str else str(place) if isinstance(place, Path) else None
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

    def __getitem__(self, row: int) -> Any:
        found = self.found(row)
        return Path(found) if type(found) is str else found

    def found(self, row: int) -> Any:
        """Return the same with paths as text."""
        code = self._codes[row]
        return self._odd.get(row) if code >= _ODD else self._folders[code] + self._names[row]

    def take(self, rows: Iterable[int], folders: Folders) -> Places:
        """Return some rows as a column of its own."""
        taken = Places(folders)
        taken.extend([self.found(row) for row in rows])
        return taken

    def close(self) -> None:
        """Give back the room that was kept for further rows."""
        self._codes = self._codes[:]
        self._names.close()
