"""The measurement itself: models in turn, so that what else the machine does hits all of them alike."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from kdcli.garbage import uncollected


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """One thing to be measured. wait: returns when the device has done what it was given; None on a CPU."""

    run: Callable[[], object]
    wait: Callable[[], None] | None = None


@dataclass(slots=True, kw_only=True)
class Times:
    """Seconds of each round."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    """Of all threads of the process; empty where the work is not the processor's."""


class Stopped(KeyboardInterrupt):
    """The user stopped a measurement of which some rounds are done. report: what they came to, once that is known."""

    report: Any = None

    def __init__(self, times: list[Times]) -> None:
        super().__init__()
        self.times = times


def in_turn(
    what: Sequence[Timed], *, rounds: int, warmup: int, each: Callable[[], None] | None = None
) -> list[Times]:
    """Measure everything once a round, one after the other, and return the times.

    A turn is a call that is not counted, after which caches hold this model's numbers and no longer the last one's,
    and a call that is.

    Args:
        what: in this order in every round.
        rounds: at least one.
        warmup: rounds before those, of which nothing is kept.
        each: called after every round.

    Raises:
        Stopped: an interruption after the first round; the round that it fell into is dropped.
    """
    found = [Times() for _ in what]
    try:
        gc.collect()
        with uncollected():  # nobody's turn pays for what others left
            for number in range(-warmup, rounds):
                turn = [_once(one) for one in what]
                if number >= 0:
                    for times, one, (wall, processor) in zip(found, what, turn, strict=True):
                        times.wall.append(wall)
                        if one.wait is None:
                            times.processor.append(processor)
                if each is not None:
                    each()
    except KeyboardInterrupt as interruption:
        whole = min(len(one.wall) for one in found)
        if not whole:
            raise
        raise Stopped([
            Times(wall=one.wall[:whole], processor=one.processor[:whole]) for one in found
        ]) from interruption
    return found


def _once(one: Timed) -> tuple[float, float]:
    wait = one.wait or _nothing
    one.run()
    wait()
    processor, wall = time.process_time(), time.perf_counter()
    one.run()
    wait()
    return time.perf_counter() - wall, time.process_time() - processor


def _nothing() -> None:
    """Return at once."""
