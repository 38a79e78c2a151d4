"""Depth probability maps at single pixels, for the eye: a teacher's depth as a distribution over a student's bins."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kdcli.errors import ConfigError
from kdcli.losses.dpm import Dpm, weights
from kdcli.losses.tie_kd import RELEASED_SIGMA

_UNEVEN = 1e-2


def depth_map(depth: float, centers: Tensor, sigma: float, dpm: Dpm) -> Tensor:
    """Return a depth as a distribution over bins, K: a depth probability map of TIE-KD, see ``kdcli.losses.dpm``.

    Unlike there, bins may be uneven. Where they are even in the logarithm, sigma and distances are in it.
    """
    log = even_in_log(centers)
    distance = centers.double().log() - math.log(depth) if log else centers.double() - depth
    return weights(distance, math.inf, sigma, dpm, axis=0)[0].float()


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
    return RELEASED_SIGMA if dpm == "released" else float(at[-1] - at[0]) / (len(at) - 1)


def even_in_log(centers: Tensor) -> bool:
    """Whether bins are even in the logarithm of depth rather than in depth."""
    if float(centers.min()) <= 0:
        return False
    steps = [at.double().diff() for at in (centers, centers.log())]
    plain, log = (float(step.max() / step.min()) - 1 for step in steps)
    return log < _UNEVEN and log < plain
