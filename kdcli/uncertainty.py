"""How sure a model is that predicts a distribution over depth bins: entropy, spread, intervals, mode.

All functions take ``probs`` B x K x h x w, which sum to one over K, and ``centers`` (K,) or B x K in ascending order,
work on their device in float32, and go through the bins in parts, so that no second tensor of B x K x h x w is made.
Between centres a bin ends half-way, the outermost are symmetric, and within a bin probability is spread evenly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kdcli.types import Prediction

WHO = (
    "models with bins have one: mobilenet,head=bins, timm:BACKBONE,head=bins, adabins and tie-kd, as students or "
    "teachers, and files that were exported from such a model with --uncertainty"
)
"""For messages: which models tell how sure they are."""

_PART = 32
"""Bins that are worked on at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How sure a model is of its depth at every pixel.

    std: B x 1 x h x w standard deviation, in the unit of depth. entropy: B x 1 x h x w as a share of ln K, 0 certain, 1
    all bins alike. ends: B x 2S x h x w, the lower and the upper end of S central intervals in turn, in the unit of
    depth. The latter two are None where the model gives no distribution.
    """

    std: Tensor
    entropy: Tensor | None = None
    ends: Tensor | None = None

    def map(self, function: Callable[[Tensor], Tensor]) -> Spread:
        """Return the spread with a function applied to each of its maps, a resize for example."""
        maps = (None if one is None else function(one) for one in (self.entropy, self.ends))
        return Spread(std=function(self.std), entropy=next(maps), ends=next(maps))


def spread_of(prediction: Prediction, shares: Sequence[float] = ()) -> Spread | None:
    """Return how sure a model is of a prediction, with the central intervals of some shares; None if it does not tell.

    A prediction with ``std`` instead of a distribution has no intervals.
    """
    probs, centers = prediction.probs, prediction.centers
    if probs is not None and centers is not None:
        levels = [level for share in shares for level in ((1 - share) / 2, (1 + share) / 2)]
        ends = quantiles(probs, centers, levels) if levels else None
        return Spread(std=variance(probs, centers).sqrt(), entropy=entropy(probs, normalised=True), ends=ends)
    if prediction.std is not None:
        own = prediction.entropy
        return Spread(std=prediction.std.float(), entropy=None if own is None else own.float())
    return None


def both_views(first: Spread, second: Spread, depth: Tensor, other: Tensor) -> Spread:
    """Return the spread of the mean of two views of one picture, already turned the same way, with depth B x 1 x h x w.

    The variance is that of the even mixture of both distributions, so it grows where the views disagree (law of total
    variance). Entropy and the ends of intervals are averaged: a mixture of bins that differ between the views has none
    on common bins.
    """
    variance = (first.std.square() + second.std.square()) / 2 + ((depth - other) / 2).square()
    entropy, ends = (
        None if a is None or b is None else (a + b) / 2
        for a, b in ((first.entropy, second.entropy), (first.ends, second.ends))
    )
    return Spread(std=variance.sqrt(), entropy=entropy, ends=ends)


def entropy(probs: Tensor, *, normalised: bool = False) -> Tensor:
    """Return the entropy -sum p ln p in nats, B x 1 x h x w; ``normalised``: as a share of ln K, the greatest."""
    total = torch.zeros_like(probs[:, :1], dtype=torch.float32)
    for part in torch.split(probs, _PART, dim=1):
        total = total + torch.special.entr(part.float()).sum(1, keepdim=True)
    return (total / math.log(probs.shape[1])).clamp(0, 1) if normalised else total


def mean(probs: Tensor, centers: Tensor) -> Tensor:
    """Return the expectation over the centres, B x 1 x h x w."""
    total = torch.zeros_like(probs[:, :1], dtype=torch.float32)
    for part, places in _parts(probs, centers):
        total = total + (part * places).sum(1, keepdim=True)
    return total


def variance(probs: Tensor, centers: Tensor) -> Tensor:
    """Return the variance about the expectation, B x 1 x h x w, with each bin's mass at its centre.

    In two passes: the mean of squares minus the square of the mean loses all digits of a narrow peak far away.
    """
    middle = mean(probs, centers)
    total = torch.zeros_like(middle)
    for part, places in _parts(probs, centers):
        total = total + (part * (places - middle).square()).sum(1, keepdim=True)
    return total


def mode(probs: Tensor, centers: Tensor) -> Tensor:
    """Return the centre of the most probable bin, B x 1 x h x w."""
    best = probs.argmax(1, keepdim=True)
    return _per_image(centers, probs).gather(1, best.flatten(1)).view(best.shape)


def edges(centers: Tensor) -> Tensor:
    """Return the K + 1 edges of bins along the last dimension."""
    inner = (centers[..., 1:] + centers[..., :-1]) / 2
    first = 2 * centers[..., :1] - inner[..., :1]
    last = 2 * centers[..., -1:] - inner[..., -1:]
    return torch.cat([first, inner, last], dim=-1)


def quantiles(probs: Tensor, centers: Tensor, levels: Sequence[float]) -> Tensor:
    """Return the depth below which a share of the probability lies, B x Q x h x w for Q levels in 0..1."""
    count, bins = probs.shape[:2]
    shape = (count, len(levels), *probs.shape[2:])
    wanted = torch.tensor(levels, dtype=torch.float32, device=probs.device).view(1, -1, 1, 1)
    index = torch.zeros(shape, dtype=torch.int64, device=probs.device)
    below = torch.zeros(shape, dtype=torch.float32, device=probs.device)
    passed = torch.zeros_like(probs[:, :1], dtype=torch.float32)
    # Bin by bin: a cumulated sum over all would be a second tensor of their size, and is slower on a CPU.
    for i in range(bins):
        passed = passed + probs[:, i : i + 1]
        left = passed < wanted
        index += left
        below = torch.where(left, passed, below)
    index.clamp_(max=bins - 1)
    inside = probs.gather(1, index).float().clamp(min=torch.finfo(torch.float32).tiny)
    bounds = edges(_per_image(centers, probs))
    low, high = (bounds.gather(1, (index + step).flatten(1)).view(shape) for step in (0, 1))
    return torch.lerp(low, high, ((wanted - below) / inside).clamp(0, 1))


def interval(probs: Tensor, centers: Tensor, share: float = 0.9) -> tuple[Tensor, Tensor]:
    """Return the ends of the central interval that holds a share of the probability, B x 1 x h x w each."""
    ends = quantiles(probs, centers, ((1 - share) / 2, (1 + share) / 2))
    return ends[:, :1], ends[:, 1:]


def _parts(probs: Tensor, centers: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield some bins at a time in float32 with their centres, to be multiplied."""
    places = centers.float().reshape(-1, probs.shape[1], 1, 1)
    for part, own in zip(torch.split(probs, _PART, dim=1), torch.split(places, _PART, dim=1), strict=True):
        yield part.float(), own


def _per_image(centers: Tensor, probs: Tensor) -> Tensor:
    """Return the centres of each image, B x K float32."""
    return centers.float().reshape(-1, probs.shape[1]).expand(len(probs), -1)
