"""How often each image comes in a round, from how far it is: by rank, within bounds, nothing left out for long."""

from __future__ import annotations

import torch
from torch import Tensor

FACTOR = 2.0
"""The farthest image weighs as much more than the median one, the nearest as much less."""
PERIOD = 3
"""Rounds in a row of which each image is in one at least."""


def ranks(values_N: Tensor) -> Tensor:
    """Return where each value stands among those that are known, 0 to 1; equal ones share the middle, 0.5 if unknown.

    Ranks and not the values: one broken image is the farthest, however far it is.
    """
    known = ~values_N.isnan()
    found = torch.full_like(values_N, 0.5)
    if int(known.sum()) > 1:
        _, inverse, equal = torch.unique(values_N[known], return_inverse=True, return_counts=True)
        middle = equal.cumsum(0) - equal + (equal - 1) / 2
        found[known] = (middle / (int(known.sum()) - 1))[inverse].to(values_N.dtype)
    return found


def weights(distances_N: Tensor) -> Tensor:
    """Return the weight of each image, 1 / FACTOR to FACTOR, 1 where its distance is not known (NaN)."""
    return FACTOR ** (2 * ranks(distances_N.double()) - 1)


def counts(weights_N: Tensor, slots: int, left_out_N: Tensor, generator: torch.Generator) -> Tensor:
    """Return how often each image comes in a round of ``slots``, which are at least as many as there are images.

    left_out: rounds in a row that an image was not in. One that would miss a whole period comes once; the others are
    drawn by weight, systematically: each comes as often as expected, rounded down or up.
    """
    due = left_out_N >= PERIOD - 1
    rest = slots - int(due.sum())
    free = torch.where(due, 0.0, weights_N.double())
    mixed = torch.randperm(len(free), generator=generator)
    ends = (free[mixed] * (rest / free.sum())).cumsum(0).clamp(max=rest)
    ends[-1] = rest  # what rounding makes of the sum is not left to chance
    begin = torch.rand(1, generator=generator, dtype=torch.float64)
    steps = (ends + begin).floor().diff(prepend=begin.floor())
    found = due.long()
    found[mixed] += steps.long()
    return found


def spread(counts_N: Tensor, generator: torch.Generator) -> Tensor:
    """Return a round's images in random order, those of one image evenly apart."""
    image = torch.repeat_interleave(torch.arange(len(counts_N)), counts_N)
    copy = torch.arange(len(image)) - (counts_N.cumsum(0) - counts_N)[image]
    begin = torch.rand(len(counts_N), generator=generator, dtype=torch.float64)
    place = (begin[image] + copy / counts_N[image]) % 1.0
    return image[place.argsort(stable=True)]
