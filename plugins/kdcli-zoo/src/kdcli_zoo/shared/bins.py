"""What stands in for classes: each pixel's distribution over depth bins.

A model with bins of its own has its own distribution over its own centres. One that gives a number has none; two
stand-ins exist. ``gaussian`` puts a bell of a given width, in log depth, around the number: between two plain
regressors a divergence is then (l_t - l_s)^2 / (2 width^2), a squared error in other words. ``two-hot`` shares the
number between the two neighbouring centres, so that the mean is exact; its tails are empty.

Centres ascend; they are K, or B x K where they differ from image to image, and need not be even.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from kdcli.errors import SpecError
from kdcli.maps import widen

StandIn = Literal["gaussian", "two-hot"]


def log_centers(near: float, far: float, bins: int, *, like: Tensor) -> Tensor:
    """Return the logarithms of K centres from near to far, both included, on the device and in the type of ``like``."""
    return torch.linspace(math.log(near), math.log(far), bins, device=like.device, dtype=widen(like).dtype)


def log_distribution(depth: Tensor, log_centers_K: Tensor, *, form: StandIn, width: float) -> Tensor:
    """Return log probabilities B x K x h x w of depth B x 1 x h x w; finite and with a gradient everywhere.

    log_centers_K: K or B x K. width: of the bell, in log depth; two-hot has none. Where centres are not even, a bin
    gets as much of the bell as falls into it.
    """
    at = widen(depth).clamp_min(1e-6).log()
    own = log_centers_K.to(at.dtype)
    if form == "gaussian":
        centers, cells = (_as_map(values) for values in (own, _cells(own).log()))
        return (cells - 0.5 * ((at - centers) / width).square()).log_softmax(1)
    shares = two_hot(at.flatten(1), own).view(len(at), -1, *at.shape[-2:])
    return shares.clamp_min(1e-8).log()


def two_hot(at: Tensor, centers: Tensor) -> Tensor:
    """Return how each number B x N is shared between its two neighbouring centres, B x K x N; the shares sum to 1.

    What lies outside of the centres counts at the nearest one; a number on a centre is all there.
    """
    own = centers.expand(len(at), -1).to(at.dtype)
    held = torch.minimum(torch.maximum(at, own[:, :1]), own[:, -1:])[:, None, :]
    gaps = (own[:, 1:] - own[:, :-1]).clamp_min(1e-12)[..., None]
    rising = (held - own[:, :-1, None]) / gaps
    falling = (own[:, 1:, None] - held) / gaps
    one = torch.ones_like(held)
    return torch.minimum(torch.cat([one, rising], 1), torch.cat([falling, one], 1)).clamp(0, 1)


def resample(probs: Tensor, log_own: Tensor, log_centers_K: Tensor) -> Tensor:
    """Return B x J x h x w over the model's own centres as B x K x h x w over others, each share split in two-hot.

    log_own: J or B x J, logarithms of the model's own centres; log_centers_K: K or B x K. The mean of log depth stays,
    but for what lies outside of the new centres, which counts at the nearest one. Over its own centres it stays as it
    is.
    """
    weights = two_hot(log_own.expand(len(probs), -1), log_centers_K)
    return torch.einsum("bkj,bjhw->bkhw", weights.to(probs.dtype), probs)


def check_bins(bins: int, width: float, near: float, far: float) -> None:
    """Check what a distribution is made of.

    Raises:
        SpecError: too few bins, a width that is none, or no range.
    """
    if not 2 <= bins <= 1024:
        raise SpecError(f"bins={bins} is no number of bins; use 2 to 1024, for example 64")
    if not 0 < width < math.inf:
        raise SpecError(f"width={width} must be above 0, in log depth; for example 0.1")
    if not 0 < near < far < math.inf:
        raise SpecError(f"near={near}, far={far} is no range; use 0 < near < far in metres")


def _cells(centers: Tensor) -> Tensor:
    """Return how wide each bin is, between the middles to its neighbours; the outer ones are symmetric."""
    gaps = (centers[..., 1:] - centers[..., :-1]).clamp_min(1e-12)
    return (torch.cat([gaps[..., :1], gaps], -1) + torch.cat([gaps, gaps[..., -1:]], -1)) / 2


def _as_map(values: Tensor) -> Tensor:
    return values.view(-1, values.shape[-1], 1, 1)
