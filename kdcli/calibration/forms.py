"""The formulas that are tried, each fitted so that the sum of |log predicted - log measured| is least.

Every image counts alike, whatever its number of pixels. Absolute differences are what a few wrong pixels hardly move.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kdcli.calibration.samples import Samples
from kdcli.students.calibrated import FLOOR, GREATEST, STEEPEST
from kdcli.types import POSITIVE_DEPTH, DepthKind

NONE, SCALE, EXPONENT, SHIFT = "none", "scale", "scale-exponent", "scale-shift"
"""The choices: the student as it is, a scale, a scale and an exponent in log depth, a scale and a shift."""

_REWEIGHTED = 30
_ALIKE = 128 * 2.0**-23
"""Spread, as a share of the middle, up to which numbers are all alike: a deep network rounds in float32 as coarsely."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """metres = scale * (x + offset) ** exponent."""

    scale: float
    exponent: float
    offset: float = 0.0

    def log_metres(self, said: Tensor, ends: tuple[float, float] | None) -> Tensor:
        """Return the logarithm of metres in float64, within the ends where there are any."""
        base = said.double() + self.offset
        if ends is None:
            base = base.clamp(min=FLOOR)
        else:  # what a shift makes negative lies beyond the one end or the other
            base = base.clamp(*sorted((end / self.scale) ** (1 / self.exponent) for end in ends))
        return math.log(self.scale) + self.exponent * base.log()


Fit = Callable[[Samples, DepthKind], Form | None]


def forms_of(kind: DepthKind) -> dict[str, Fit]:
    """Return the formulas that make sense of a depth kind, the simplest first."""
    if kind is DepthKind.METRIC:
        return {NONE: as_it_is, SCALE: scale, EXPONENT: scale_exponent}
    if kind in POSITIVE_DEPTH:
        return {SCALE: scale, EXPONENT: scale_exponent}
    return {SCALE: scale, SHIFT: scale_shift, EXPONENT: scale_exponent}


def as_it_is(samples: Samples, kind: DepthKind) -> Form:
    """Return the formula that changes nothing."""
    return Form(scale=1.0, exponent=1.0)


def scale(samples: Samples, kind: DepthKind) -> Form | None:
    """Return the factor of depth: the weighted median of the logarithms' differences, which is exact."""
    exponent = _sign(kind)
    off = samples.metres.double().log() - exponent * samples.said.double().clamp(min=FLOOR).log()
    return _sensible(math.exp(median(off, samples.weights())), exponent, 0.0, kind)


def scale_exponent(samples: Samples, kind: DepthKind) -> Form | None:
    """Return the line of log metres over log numbers; None where it does not rise with depth."""
    x, y = samples.said.double().clamp(min=FLOOR).log(), samples.metres.double().log()
    weights = samples.weights()
    slope, _ = line(x, y, weights)
    log_scale = median(y - slope * x, weights)
    if not abs(log_scale) <= math.log(GREATEST):  # numbers that hardly differ have any slope, and exp overflows
        return None
    return _sensible(math.exp(log_scale), slope, 0.0, kind)


def scale_shift(samples: Samples, kind: DepthKind) -> Form | None:
    """Return the line of depth, or of inverse depth for disparity, over the numbers; None where it does not rise.

    Differences are taken as shares of what was measured, which is what they are in log depth while they are small.
    """
    y = samples.metres.double()
    y = y.reciprocal() if kind.is_disparity else y
    slope, shift = line(samples.said.double(), y, samples.weights() / y)
    if not 1 / GREATEST <= slope <= GREATEST:
        return None
    exponent = _sign(kind)
    return _sensible(slope**exponent, exponent, shift / slope, kind)


def constant(samples: Samples) -> float:
    """Return the depth that is best said of every pixel, in metres."""
    return math.exp(median(samples.metres.double().log(), samples.weights()))


def median(values: Tensor, weights: Tensor) -> float:
    """Return the weighted median."""
    ordered, order = values.sort()
    passed = weights[order].cumsum(0)
    at = int(torch.searchsorted(passed, passed[-1] / 2).clamp(max=len(values) - 1))
    return float(ordered[at])


def line(x: Tensor, y: Tensor, weights: Tensor) -> tuple[float, float]:
    """Return slope and offset of least weighted absolute differences, by least squares that are weighed anew.

    The slope of numbers that are all alike, but for what rounding makes of them, is 0.
    """
    middle, wide = x.mean(), x.std(correction=0)
    if not wide > _ALIKE * middle.abs():
        return 0.0, median(y, weights)
    u, tall = (x - middle) / wide, y.std(correction=0).clamp(min=1e-300)
    current = weights
    for step in range(_REWEIGHTED):
        total = current.sum()
        mean_u, mean_y = (current * u).sum() / total, (current * y).sum() / total
        slope = (current * (u - mean_u) * (y - mean_y)).sum() / (current * (u - mean_u).square()).sum()
        off = (y - mean_y - slope * (u - mean_u)).abs()
        current = weights / off.clamp(min=float(tall) * max(0.1 * 0.5**step, 1e-6))
    return float(slope / wide), float(mean_y - slope * (mean_u + middle / wide))


def _sign(kind: DepthKind) -> float:
    return -1.0 if kind.is_disparity else 1.0


def _sensible(scale: float, exponent: float, offset: float, kind: DepthKind) -> Form | None:
    """Return a formula whose numbers may be meant, or None."""
    steep = exponent * _sign(kind)
    if not (1 / GREATEST <= scale <= GREATEST and abs(offset) <= GREATEST and 1 / STEEPEST <= steep <= STEEPEST):
        return None
    return Form(scale=scale, exponent=exponent, offset=offset)
