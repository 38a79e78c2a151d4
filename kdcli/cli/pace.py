"""How long something will still take: from all of its own speed, so that it is known however slow it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass


@dataclass(slots=True)
class _Seen:
    first: tuple[float, float]
    """How far it was at first, and when."""
    last: tuple[float, float]
    """How far it is, and since when."""


class Pace:
    """Jobs by key, each a count that grows."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[Hashable, _Seen] = {}

    def see(self, key: Hashable, done: float, begun: tuple[float, float] | None = None) -> None:
        """Hear how far a job is. begun: how far it was when, on this clock, where that was before it was seen."""
        now = self._clock()
        seen = self._seen.get(key)
        if seen is None or done < seen.last[0]:
            self._seen[key] = _Seen(first=begun or (done, now), last=(done, now))
        elif done > seen.last[0]:
            seen.last = (done, now)

    def left(self, key: Hashable, total: float | None) -> float | None:
        """Return the seconds that a job will still take; None before it has moved at all."""
        seen = self._seen.get(key)
        if seen is None or total is None or seen.last[0] <= seen.first[0]:
            return None
        each = (seen.last[1] - seen.first[1]) / (seen.last[0] - seen.first[0])
        return max((total - seen.last[0]) * each - (self._clock() - seen.last[1]), 0.0)
