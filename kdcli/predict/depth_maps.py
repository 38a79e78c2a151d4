"""Depth probability maps at single pixels, for the eye: a teacher's depth as a distribution over a student's bins."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from kdcli.errors import ConfigError

Dpm = Literal["gaussian", "released"]

_LEAST_DENSITY, _LEFT_OUT = 1e-16, -1000.0
_RELEASED_SIGMA = 0.5
_UNEVEN = 1e-2


def depth_map(depth: float, centers: Tensor, sigma: float, dpm: Dpm) -> Tensor:
    """Return a depth as a distribution over bins, K: a depth probability map of TIE-KD (arXiv 2402.14340, equation 2).

    ``gaussian``: the Gaussian density at the bin centres, normalised. ``released``: what the authors' code does, a
    softmax of the density *values*, where densities below 1e-16 are left out: a plateau. Where bins are even in the
    logarithm, sigma and distances are in it.
    """
    log = even_in_log(centers)
    at, middle = (centers.double().log(), math.log(depth)) if log else (centers.double(), depth)
    score = -0.5 * ((at - middle) / sigma).square()
    if dpm == "released":
        density = score.exp() / (sigma * math.sqrt(2 * math.pi))
        score = torch.where(density < _LEAST_DENSITY, _LEFT_OUT, density)
    return score.softmax(0).float()


def divergence(target_K: Tensor, probs_K: Tensor) -> float:
    """Return the Kullback-Leibler divergence of a student's distribution from its target, nats."""
    tiny = torch.finfo(torch.float32).tiny
    return float(torch.special.xlogy(target_K, target_K / probs_K.clamp(min=tiny)).sum())


def spread_for(centers: Tensor, asked: float | None, dpm: Dpm) -> float:
    """Return the sigma asked for, else the width of a bin, for ``released`` the 0.5 of the authors' code.

    Raises:
        ConfigError: not above 0.
    """
    if asked is not None:
        if not 0 < asked < math.inf:
            raise ConfigError(f"sigma {asked:g} is no spread; give a number above 0")
        return asked
    at = centers.log() if even_in_log(centers) else centers
    return _RELEASED_SIGMA if dpm == "released" else float(at[-1] - at[0]) / (len(at) - 1)


def even_in_log(centers: Tensor) -> bool:
    """Whether bins are even in the logarithm of depth rather than in depth."""
    if float(centers.min()) <= 0:
        return False
    steps = [at.double().diff() for at in (centers, centers.log())]
    plain, log = (float(step.max() / step.min()) - 1 for step in steps)
    return log < _UNEVEN and log < plain
