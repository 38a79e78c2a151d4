"""Pairs that are made when they are asked for, of which a selection may be kept."""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections.abc import Sequence
from typing import overload

from kdcli.sources.pairs import Pair
from kdcli.sources.table.view import View


class LazyPairs(Sequence[Pair], ABC):
    """A sequence of pairs that makes one when it is asked for; ``choose`` keeps some of them."""

    _chosen: Sequence[int] = ()

    def choose(self, positions: Sequence[int]) -> None:
        """Keep only these of the pairs."""
        self._chosen = positions if isinstance(positions, range) else array("Q", positions)

    @abstractmethod
    def _pair(self, position: int) -> Pair:
        """Return the pair at a position among all, chosen or not."""

    def __len__(self) -> int:
        return len(self._chosen)

    @overload
    def __getitem__(self, index: int) -> Pair: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Pair]: ...
    def __getitem__(self, index: int | slice) -> Pair | Sequence[Pair]:
        if isinstance(index, slice):
            return View(self, range(len(self))[index])
        return self._pair(self._chosen[index])
