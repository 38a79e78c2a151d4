"""Which expert teaches which image: strata of difficulty, and a table of difficulties that a run keeps."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, MutableMapping, Sequence
from typing import Any

from torch import Tensor

MOST = 200_000
"""Images of which a difficulty is kept; of further ones nothing is known, and the smallest expert teaches them."""
WAITING = 4096
"""Batches whose difficulties wait on the device before they are read, where no round ends before."""
_TABLE, _LIMITS, _WAITING, _ROUND = "difficulty", "limits", "waiting", "round"


def limits(difficulties: Iterable[float], strata: int) -> list[float]:
    """Return the difficulties at which the next stratum begins: equally many images in each, 12 in 3 as 4, 4, 4."""
    ordered = sorted(difficulties)
    return [ordered[len(ordered) * i // strata] for i in range(1, strata)] if ordered else []


def stratum(difficulty: float, borders: Sequence[float]) -> int:
    """Return the stratum of an image; it never falls as difficulty rises."""
    return bisect_right(borders, difficulty)


def opened(progress: float, strata: int, pace: float) -> int:
    """Return how many strata there are by now: one at first, all from the share ``pace`` of the stage on."""
    if progress >= pace:
        return strata
    return 1 + int(progress / pace * (strata - 1))


class Table:
    """Difficulties by the ids of images, in a loss's ``ctx.state``.

    They are computed on the device and read once a round, so that a step does not wait.
    """

    def __init__(self, state: MutableMapping[str, Any], stage: str, epoch: int) -> None:
        """Look at the store; what waits there from an earlier round is read."""
        self._state = state
        self._now = f"{stage}/{epoch}"
        waiting: list[Any] = state.get(_WAITING, [])
        if waiting and (state.get(_ROUND) != self._now or len(waiting) >= WAITING):
            self._read(waiting)
        self.known: dict[str, float] = state.get(_TABLE, {})

    def borders(self, strata: int) -> list[float]:
        """Return the limits of so many strata, found once for what is known."""
        found: list[Any] = self._state.get(_LIMITS, [])
        if not found or found[:2] != [len(self.known), strata]:
            found = [len(self.known), strata, limits(self.known.values(), strata)]
            self._state[_LIMITS] = found
        borders: list[float] = found[2]
        return borders

    def note(self, ids: Sequence[str], difficulty: Tensor) -> None:
        """Take the difficulties of some images, without reading them yet; not-a-number: it cannot be told."""
        waiting: list[Any] = self._state.setdefault(_WAITING, [])
        if len(self.known) + len(waiting) * max(len(ids), 1) < MOST:
            waiting.append([list(ids), difficulty.detach()])
        self._state[_ROUND] = self._now

    def _read(self, waiting: list[Any]) -> None:
        table: dict[str, float] = dict(self._state.get(_TABLE, {}))
        for ids, values in waiting:
            for name, value in zip(ids, values.tolist(), strict=True):
                if math.isfinite(value) and (name in table or len(table) < MOST):
                    table[name] = float(value)
        self._state[_TABLE], self._state[_WAITING], self._state[_LIMITS] = table, [], []
