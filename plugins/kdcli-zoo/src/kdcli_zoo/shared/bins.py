"""What stands in for classes: each pixel's distribution over depth bins, even in the logarithm of depth.

A model with bins of its own has its own distribution over its own centres. One that gives a number has none; two
stand-ins exist. ``gaussian`` puts a bell of a given width around the number: between two plain regressors a divergence
is then (l_t - l_s)^2 / (2 width^2), a squared error in other words. ``two-hot`` shares the number between the two
neighbouring centres, so that the mean is exact; its tails are empty.
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

    width: of the bell, in log depth; two-hot has none.
    """
    at = widen(depth).clamp_min(1e-6).log()
    centers = log_centers_K.view(1, -1, 1, 1)
    if form == "gaussian":
        return (-0.5 * ((at - centers) / width).square()).log_softmax(1)
    step = log_centers_K[1] - log_centers_K[0]
    held = at.clamp(log_centers_K[0], log_centers_K[-1])
    share = (1 - (held - centers).abs() / step).clamp_min(0)
    return share.clamp_min(1e-8).log()


def resample(probs: Tensor, log_own: Tensor, log_centers_K: Tensor) -> Tensor:
    """Return B x J x h x w over the model's own centres as B x K x h x w over others, each share split in two-hot.

    log_own: J or B x J, logarithms of the model's own centres. The mean of log depth stays, but for what lies outside
    of the new centres, which counts at the nearest one.
    """
    own = log_own.expand(len(probs), -1).clamp(log_centers_K[0], log_centers_K[-1])
    step = log_centers_K[1] - log_centers_K[0]
    weights = (1 - (own[:, None, :] - log_centers_K[None, :, None]).abs() / step).clamp_min(0)
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
