"""Columns of texts and of repeating values, a few bytes a row."""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Iterable, Sequence
from itertools import accumulate, islice
from typing import Any, overload

_CODES = ("B", "H", "I")
_LARGE = 0xFFFFFFFF


class Numbers(Sequence[int]):
    """Whole numbers from 0, four bytes each, eight where one of them needs it."""

    def __init__(self, numbers: Iterable[int] = ()) -> None:
        self._numbers = array("I")
        self.extend(numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, row: int) -> int: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[int]: ...
    def __getitem__(self, row: int | slice) -> int | Sequence[int]:
        return self._numbers[row]

    def append(self, number: int) -> None:
        """Add a row."""
        if number > _LARGE and self._numbers.typecode == "I":
            self._numbers = array("Q", self._numbers)
        self._numbers.append(number)

    def extend(self, numbers: Iterable[int]) -> None:
        """Add rows."""
        for number in numbers:
            self.append(number)

    def close(self) -> None:
        """Give back the room that was kept for further rows."""
        self._numbers = self._numbers[:]


class Texts:
    """Texts one behind the other as bytes, and where each ends."""

    def __init__(self) -> None:
        self._bytes: bytearray | bytes = bytearray()
        self._ends = array("I")

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, row: int) -> str:
        begin = self._ends[row - 1] if row else 0
        # Names of files may hold what is no UTF-8, which Python keeps as lone surrogates.
        return self._bytes[begin : self._ends[row]].decode("utf-8", "surrogatepass")

    def extend(self, texts: Iterable[str]) -> None:
        """Add rows."""
        coded = [text.encode("utf-8", "surrogatepass") for text in texts]
        begin = len(self._bytes)
        self._bytes += b"".join(coded)
        if len(self._bytes) > _LARGE and self._ends.typecode == "I":
            self._ends = array("Q", self._ends)
        self._ends.extend(islice(accumulate(map(len, coded), initial=begin), 1, None))

    def close(self) -> None:
        """Give back the room that was kept for further rows."""
        self._bytes, self._ends = bytes(self._bytes), self._ends[:]


class Values:
    """Values of which many rows share one: each is kept once, None too."""

    def __init__(self) -> None:
        self._values: list[Any] = []
        self._known: dict[Hashable, int] = {}
        self._codes = array("B")

    def __getitem__(self, row: int) -> Any:
        return self._values[self._codes[row]]

    def extend(self, values: Sequence[Hashable]) -> None:
        """Add rows."""
        known = self._known
        codes = [known.setdefault(value, len(known)) for value in values]
        self._values.extend(islice(known, len(self._values), None))
        while len(known) > 1 << (8 * self._codes.itemsize):
            self._codes = array(_CODES[_CODES.index(self._codes.typecode) + 1], self._codes)
        self._codes.extend(codes)

    def close(self) -> None:
        """Give back the room that was kept for further rows."""
        self._known, self._codes = {}, self._codes[:]
