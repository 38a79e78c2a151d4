"""Images that begin small and grow: the first steps teach what is coarse, and cost a fraction of the later ones."""

from __future__ import annotations

import functools
import math

from kdcli.training.batches.joining import resize_batch
from kdcli.types import Batch

Size = tuple[int, int]
HALF = 0.5
"""Of both sides, at the beginning."""
STEP = 32
"""Pixels that sides are multiples of: networks halve their images five times, and a few sizes are tuned for once."""
SMALLEST = 64
"""Pixels of the shorter side below which nothing is shrunk."""
ALIKE = 0.08
"""Largest difference of the logarithm of width over height: things must not look stretched."""


@functools.lru_cache(maxsize=64)
def smaller_sizes(whole: Size) -> tuple[Size, ...]:
    """Return sizes in multiples of 32 from half of ``whole`` up to below it, of about its shape; there may be none."""
    height, width = whole
    least = max(HALF, SMALLEST / min(whole))
    found = []
    for down in range(STEP, height, STEP):
        across = round(down * width / height / STEP) * STEP
        if down >= least * height and across and abs(math.log(across / down * height / width)) <= ALIKE:
            found.append((down, across))
    return tuple(size for size in found if size[1] < width)


def size_at(whole: Size, grow: float, done: float) -> Size:
    """Return height and width of the images when a share ``done`` of the steps lies behind, 0..1.

    The smaller sizes have equal parts of the first ``grow`` of the steps; from then on images are ``whole``.
    """
    smaller = smaller_sizes(whole)
    if done >= grow or not smaller:
        return whole
    return smaller[int(len(smaller) * done / grow)]


def growing(batch: Batch, whole: Size, grow: float, done: float) -> Batch:
    """Return a batch at the size of its step. Maps of teachers stay as they are, and are brought to the student's."""
    return resize_batch(batch, size_at(whole, grow, done))


def work(whole: Size, grow: float) -> float:
    """Return the pixels of a stage as a share of what they were without growing."""
    smaller = smaller_sizes(whole)
    if not smaller or not grow:
        return 1.0
    mean = sum(height * width for height, width in smaller) / len(smaller) / (whole[0] * whole[1])
    return 1 - grow * (1 - mean)
