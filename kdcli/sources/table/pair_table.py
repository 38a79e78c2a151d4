"""Pairs as columns: built row by row or many at once, read as ``Pair`` objects."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from itertools import islice
from pathlib import Path
from typing import Any, Literal, overload

from kdcli.sources.pairs import Pair
from kdcli.sources.table.columns import Texts, Values
from kdcli.sources.table.places import Folders, Places
from kdcli.sources.table.view import View

FILES = ("image", "depth", "instances", "mask")
_OTHERS = tuple(field.name for field in fields(Pair) if field.name not in ("id", *FILES))
_AT_ONCE = 4096
"""Pairs that are objects at one time while a table is made."""


class PairTable(Sequence[Pair]):
    """Pairs that never change, some sixty bytes each. What no pair has takes nothing."""

    def __init__(self) -> None:
        """Start without pairs; ``Rows`` and ``table_of`` make tables."""
        self._count = 0
        self._folders = Folders()
        self._files: dict[str, Places] = {}
        self._others: dict[str, Values] = {}
        self._cuts: Values = Values()
        """Where on the image's path its id begins; None: the id is another."""
        self._ids: Texts | None = None

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Pair: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Pair]: ...
    def __getitem__(self, index: int | slice) -> Pair | Sequence[Pair]:
        if isinstance(index, slice):
            return View(self, range(self._count)[index])
        row = range(self._count)[index]
        given: dict[str, Any] = {name: column[row] for name, column in self._files.items()}
        given |= {name: column[row] for name, column in self._others.items()}
        return Pair(id=self.id_of(row), **given)

    def __iter__(self) -> Iterator[Pair]:
        return map(self.__getitem__, range(self._count))

    def id_of(self, row: int) -> str:
        """Return the id of a pair."""
        cut: int | None = self._cuts[row]
        if cut is None:
            assert self._ids is not None
            return self._ids[row]
        found = self._files["image"].text(row)[cut:]
        return found if os.sep == "/" else found.replace(os.sep, "/")

    def has(self, part: Literal["image", "depth", "instances", "mask"]) -> bool:
        """Whether any pair has a file of this part."""
        return part in self._files

    def paths(self, *parts: str) -> Iterator[str]:
        """Return the paths of all files, or of those of some parts, without making pairs."""
        for column in (column for name, column in self._files.items() if not parts or name in parts):
            yield from (found for row in range(self._count) if isinstance(found := column.found(row), str))

    def take(self, rows: Sequence[int]) -> PairTable:
        """Return some of the pairs, in this order, as a table of their own."""
        if rows == range(self._count):
            return self
        taken = Rows()
        for at in range(0, len(rows), _AT_ONCE):
            some = rows[at : at + _AT_ONCE]
            columns = {name: [column.found(row) for row in some] for name, column in self._files.items()}
            others = {name: [column[row] for row in some] for name, column in self._others.items()}
            taken.add(len(some), ids=[self.id_of(row) for row in some], **columns, **others)
        return taken.table()


class Rows:
    """Makes a table of pairs, many rows at once."""

    def __init__(self) -> None:
        self._made = PairTable()

    def __len__(self) -> int:
        return len(self._made)

    def add(self, count: int, *, ids: Sequence[str] | int, **columns: Sequence[Any] | None) -> None:
        """Add pairs: columns of ``Pair`` by name, each of ``count`` rows; what is not named is None.

        Files may be strings: paths as ``str(Path(...))`` writes them. ids: or where on the images' paths they begin.
        """
        made, before = self._made, self._made._count
        for name, values in columns.items():
            if values is None or not any(value is not None for value in values):
                continue
            if name in FILES and name not in made._files:
                made._files[name] = Places(made._folders)
                made._files[name].extend([None] * before)
            elif name not in FILES and name not in made._others:
                made._others[name] = Values()
                made._others[name].extend([None] * before)
        for name, column in (made._files | made._others).items():
            column.extend(columns.get(name) or [None] * count)
        if isinstance(ids, int):
            cuts: list[int | None] = [ids] * count
            texts = [""] * count
        else:
            cuts = list(map(_cut, ids, columns["image"] or ()))
            texts = [one if cut is None else "" for one, cut in zip(ids, cuts, strict=True)]
        made._cuts.extend(cuts)
        if made._ids is None and None in cuts:
            made._ids = Texts()
            made._ids.extend([""] * before)
        if made._ids is not None:
            made._ids.extend(texts)
        made._count += count

    def table(self) -> PairTable:
        """Return the table; nothing can be added to it."""
        made, self._made = self._made, PairTable()
        for column in (*made._files.values(), *made._others.values(), made._folders, made._cuts, made._ids):
            if column is not None:
                column.close()
        return made


def _cut(name: str, image: Any) -> int | None:
    """Return where on an image's path its id begins; None where it is not the end of it."""
    path = image if type(image) is str else str(image) if isinstance(image, Path) else ""
    return len(path) - len(name) if path and path.endswith(name) else None


def table_of(pairs: Iterable[Pair]) -> PairTable:
    """Return pairs as a table; they are taken one after the other, and not kept."""
    rows, coming = Rows(), iter(pairs)
    while some := list(islice(coming, _AT_ONCE)):
        columns = {name: [getattr(pair, name) for pair in some] for name in (*FILES, *_OTHERS)}
        rows.add(len(some), ids=[pair.id for pair in some], **columns)
    return rows.table()
