"""Some items of a sequence, looked up when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar, overload

T = TypeVar("T")


class View(Sequence[T]):
    """The items of a sequence at some positions, in that order."""

    def __init__(self, of: Sequence[T], positions: Sequence[int]) -> None:
        self._of, self._positions = of, positions

    def __len__(self) -> int:
        return len(self._positions)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        if isinstance(index, slice):
            return View(self._of, self._positions[index])
        return self._of[self._positions[index]]
