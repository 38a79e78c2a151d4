"""How long to train: numbers of updates that follow from the number of images."""

from __future__ import annotations

import math

SIMULATED = 10_000
"""Images that a simulated source counts as: they cost nothing, so their number says nothing about a run's length."""
FEWEST, MOST = 1_000, 200_000


def updates_for(images: int, batch_size: int) -> int:
    """Return the number of updates for so many images: twice the images, half as many rounds over each, and a half."""
    shown: float = 24_000 * math.sqrt(max(images, 1) / 1000)
    return min(max(round(shown / batch_size), FEWEST), MOST)
