"""Differences between groups of images, compared between student and teacher: all pairs at once, or drawn groups.

With errors e = student - teacher, the difference of group means is off by delta_S - delta_T = mean_P e - mean_Q e.
The mean of its square over all ordered pairs of different images is 2 B / (B - 1) (mean e^2 - (mean e)^2), and over
all disjoint groups of p and q images it is that times (1 / p + 1 / q) / 2: larger groups only weigh less. So nothing
has to be drawn, unless chance itself is wanted.
"""

from __future__ import annotations

import torch
from torch import Tensor


def group_loss(positive: Tensor, negative: Tensor, wanted: Tensor | None = None) -> Tensor:
    """Return the mean over groups and entries of (mean of positive - mean of negative - wanted)^2.

    positive: G x p x D, negative: G x q x D. wanted: G x D, the teacher's difference or the labels'; None is 0, for
    values that are errors already.
    """
    between = positive.mean(dim=1) - negative.mean(dim=1)
    return (between if wanted is None else between - wanted).square().mean()


def pair_loss(errors: Tensor, known: Tensor, earlier: Tensor | None = None, told: Tensor | None = None) -> Tensor:
    """Return the mean of (e_i - e_j)^2 over pairs of different images, i of the batch, j of it or of earlier ones.

    errors, known: B x D, and which entries count; earlier, told: the same of K earlier images. 0 where there is no
    pair. It takes time and memory of O((B + K) D).
    """
    counts = known.to(errors.dtype)
    union, members = torch.where(known, errors, 0.0), counts
    if earlier is not None and told is not None:
        past = told.to(errors.dtype)
        union = torch.cat([union, torch.where(told, earlier.to(errors.dtype), 0.0)])
        members = torch.cat([counts, past])
    number = members.sum(dim=0)
    # Differences do not know a common offset; taking it out first keeps the squares from cancelling.
    middle = (union.detach().sum(dim=0) / number.clamp_min(1)).detach()
    union = (union - middle) * members
    mine = union[: len(errors)]
    sums, squares = union.sum(dim=0), union.square().sum(dim=0)
    apart = counts * (number * mine.square() - 2 * mine * sums + squares)
    pairs = counts.sum(dim=0) * (number - 1).clamp_min(0)
    return apart.sum() / pairs.sum().clamp_min(1)


def drawn_loss(
    errors: Tensor, known: Tensor, sizes: tuple[int, int], groups: int, generator: torch.Generator
) -> Tensor:
    """Return the loss of so many groups of p and q different images, drawn from the M of errors and known, M x D.

    Entries of a group count where all of its images know them.
    """
    first, second = sizes
    places = torch.rand(groups, len(errors), generator=generator, device=errors.device, dtype=torch.float32)
    index = places.argsort(dim=1)[:, : first + second]
    held = torch.where(known, errors, 0.0)[index]
    whole = known[index].all(dim=1).to(errors.dtype)
    between = held[:, :first].mean(dim=1) - held[:, first:].mean(dim=1)
    return (whole * between.square()).sum() / whole.sum().clamp_min(1)
