"""Numbers as a line of bars, time as words."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

BARS = "\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
PLAIN = "_.-~=+*#"
"""Where a terminal has no such letters."""


def sparkline(values: Sequence[float], width: int = 24, letters: str = BARS) -> str:
    """Return the course of some numbers in ``width`` letters at most, each the mean of a stretch."""
    if not values:
        return ""
    count = min(width, len(values))
    edges = [i * len(values) // count for i in range(count + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    low, high = min(means), max(means)
    if high <= low:
        return letters[0] * count
    return "".join(letters[min(int((mean - low) / (high - low) * len(letters)), len(letters) - 1)] for mean in means)


def letters_for(encoding: str | None) -> str:
    """Return the letters of bars that an output can show."""
    try:
        BARS.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return PLAIN
    return BARS


def duration(seconds: float) -> str:
    """Return a time as its two greatest units."""
    whole = round(seconds)
    units = [("d", whole // 86400), ("h", whole // 3600 % 24), ("min", whole // 60 % 60), ("s", whole % 60)]
    first = next((i for i, (_, count) in enumerate(units) if count), len(units) - 1)
    return " ".join(f"{count} {unit}" for unit, count in units[first : first + 2] if count or unit == "s")
