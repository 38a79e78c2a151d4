"""Samples of a source in order, read a few ahead while the models work."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import Any

from kdcli.plugins.blame import blame
from kdcli.types import Sample

_AT_ONCE = 4
"""Samples that are read before the other thread hears of it: to wake it for each costs more processor time than many a
metric."""
_BYTES = 1 << 25
"""Of large pictures fewer are read at once."""


def ahead(source: Any, order: Sequence[int], depth: int) -> Iterator[tuple[int, Sample]]:
    """Yield positions and samples, reading at least ``depth`` ahead, of small pictures ``2 * _AT_ONCE``.

    One thread, because nothing obliges a source to be read by two at once. How many wait does not depend on how many
    there are.
    """
    begin, at_once, waiting, stopped = 0, 1, 0, Event()
    pending: deque[tuple[Sequence[int], Future[tuple[list[Sample], BaseException | None]]]] = deque()
    with ThreadPoolExecutor(max_workers=1) as pool:
        try:
            while True:
                while begin < len(order) and (waiting < depth or len(pending) < 2):
                    some = order[begin : begin + at_once]
                    begin, waiting = begin + len(some), waiting + len(some)
                    pending.append((some, pool.submit(_read, source, some, stopped)))
                if not pending:
                    return
                some, future = pending.popleft()
                samples, error = future.result()
                del future  # it would hold the samples
                waiting -= len(some)
                at_once = max(1, min(_AT_ONCE, _BYTES // max(1, max(map(_bytes, samples), default=1))))
                count = len(samples)
                for index in some[:count]:
                    yield index, samples.pop(0)
                if error is not None:
                    with blame(source, f"item {some[count]}"):
                        raise error
        finally:
            stopped.set()
            for _, waits in pending:
                waits.cancel()


def _read(source: Any, indices: Sequence[int], stopped: Event) -> tuple[list[Sample], BaseException | None]:
    """Return samples, up to the first that cannot be read, and why it cannot."""
    made: list[Sample] = []
    try:
        for index in indices:
            if stopped.is_set():
                break
            sample = source[index]
            if not isinstance(sample, Sample):
                raise TypeError(f"it gave {type(sample).__name__}, not a Sample")
            made.append(sample)
    except BaseException as error:  # also one that means to end Python: it is told where the sample is asked for
        return made, error
    return made, None


def _bytes(sample: Sample) -> int:
    return sum(one.nbytes for one in (sample.image, sample.depth, sample.valid) if one is not None)
