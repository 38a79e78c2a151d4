"""The middle of what was measured, and how far it spreads."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Median and quartiles of repeated measurements."""

    median: float
    low: float
    """First quartile."""
    high: float
    """Third quartile."""

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of one value or more."""
        if len(values) == 1:
            return cls(median=values[0], low=values[0], high=values[0])
        low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median=middle, low=low, high=high)

    @classmethod
    def of_ratios(cls, values: Sequence[float], first: Sequence[float]) -> Spread | None:
        """Return the spread of the ratios of rounds, each to the first model's time of the same round.

        What slows a whole round down is not in it. None where a time was too short to be told from nothing.
        """
        if not all(first):
            return None
        return cls.of([one / other for one, other in zip(values, first, strict=True)])

    def document(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {"median": self.median, "quartiles": [self.low, self.high]}
