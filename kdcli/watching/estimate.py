"""How long a run will still train, from the speed that its log tells; however slow that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Place = tuple[str, str]
"""Variant and stage."""


def seconds_left(
    plan: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]], now: Place | None = None, age: float = 0.0
) -> float | None:
    """Return the seconds that the stages of a plan will still take; None where no speed is known yet.

    A stage that has told nothing of itself is taken to be as fast as the one of its name of another variant, else as
    the latest. Stages before the one under way are done. age: seconds since the last row was written, of which no more
    counts than the steps take until the next one.
    """
    known: dict[Place, float] = {}
    done: dict[Place, int] = {}
    for row in rows:
        place = (row["variant"], row["stage"])
        done[place] = row["step"]
        if speed := row.get("images_per_second"):
            known[place] = float(speed)
    places = [(str(entry["variant"]), str(entry["stage"])) for entry in plan]
    latest = (rows[-1]["variant"], rows[-1]["stage"]) if rows else None
    here = max((places.index(place) for place in (now, latest) if place in places), default=0)
    total, found = 0.0, False
    for place, entry in list(zip(places, plan, strict=True))[here:]:
        speed = known.get(place) or next(
            (known[other] for other in known if other[1] == place[1]), known.get(latest) if latest else None
        )
        steps = max(int(entry["steps"]) - done.get(place, 0), 0)
        if speed is None:
            continue
        found = True
        took = steps * int(entry["images"]) / speed
        if place == latest:
            took -= min(age, took, _interval(rows) * int(entry["images"]) / speed)
        total += took
    return total if found else None


def _interval(rows: Sequence[Mapping[str, Any]]) -> int:
    """Return the steps between the last two rows."""
    if len(rows) < 2 or rows[-1]["stage"] != rows[-2]["stage"]:
        return 1
    return max(int(rows[-1]["step"]) - int(rows[-2]["step"]), 1)
