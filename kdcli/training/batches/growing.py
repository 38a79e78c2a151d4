"""Images that begin small and grow: the first steps teach what is coarse, and cost a fraction of the later ones."""

from __future__ import annotations

from kdcli.training.batches.joining import resize_batch
from kdcli.types import Batch

HALF = 0.5
"""Of both sides, at the beginning."""
STEP = 32
"""Pixels that sides grow by: networks halve their images five times, and a few sizes are tuned for once."""
SMALLEST = 64
"""Pixels of the shorter side below which nothing is shrunk."""


def size_at(whole: tuple[int, int], grow: float, done: float) -> tuple[int, int]:
    """Return height and width of the images when a share ``done`` of the steps lies behind, 0..1.

    They grow evenly from half of ``whole`` over the first ``grow`` of the steps, in multiples of 32, and are ``whole``
    from then on.
    """
    if done >= grow:
        return whole
    least = min(max(HALF, SMALLEST / min(whole)), 1.0)
    share = least + (1 - least) * done / grow
    height, width = (min(max(round(side * share / STEP) * STEP, STEP), side) for side in whole)
    return height, width


def growing(batch: Batch, whole: tuple[int, int], grow: float, done: float) -> Batch:
    """Return a batch at the size of its step. Maps of teachers stay as they are, and are brought to the student's."""
    return resize_batch(batch, size_at(whole, grow, done))
