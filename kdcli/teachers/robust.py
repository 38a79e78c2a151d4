"""Robust fits of one map to another, for a whole batch on its device: a fixed number of steps, nothing asked back.

All functions take B x N numbers with where they count, and return one number an image, B x 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kdcli.maps import masked_mean, masked_median, masked_quantile

KEPT = 0.75
"""Share of the pixels that a line is fitted to in the end: those that lie nearest to it."""
LEAST = 16
"""Pixels below which nothing is fitted."""

_REWEIGHTED = 12
_CONCENTRATED = 8
_FLAT = 1e-5
"""Spread, as a share of the numbers themselves, below which a map is one number and its rounding."""


def median_ratio(x: Tensor, y: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Return the factor that brings positive x to y, the median of their ratios, and whether there is one."""
    sound = valid.sum(1, keepdim=True) >= LEAST
    ratio = torch.where(valid, y, 1.0) / torch.where(valid, x, 1.0)
    factor = masked_median(ratio, valid).view(-1, 1)
    sound = sound & torch.isfinite(factor) & (factor > 0)
    return torch.where(sound, factor, 1.0), sound


def scale_and_shift(x: Tensor, y: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return slope and offset of the line through the bulk of the pixels, and whether there is one that rises.

    Least trimmed squares by concentration (Rousseeuw and Van Driessen, Technometrics 41, 1999) from two lines: the one
    of least absolute differences, and that through medians and their mean distances (Ranftl et al., TPAMI 2022). The
    better one is kept. A quarter of the pixels may lie anywhere.
    """
    (u, mid_x, wide_x), (v, mid_y, wide_y) = _standard(x, valid), _standard(y, valid)
    first = _least_absolute(u, v, valid)
    ones, zeros = torch.ones_like(mid_x), torch.zeros_like(mid_x)
    best, least = first, torch.full_like(mid_x, torch.inf)
    for line in (first, (ones, zeros)):
        line, left = _concentrate(u, v, valid, line)
        better = left < least
        best = (torch.where(better, line[0], best[0]), torch.where(better, line[1], best[1]))
        least = torch.where(better, left, least)
    slope = best[0] * wide_y / wide_x
    offset = mid_y + best[1] * wide_y - slope * mid_x
    sound = (valid.sum(1, keepdim=True) >= LEAST) & (wide_x > _FLAT * mid_x.abs()) & (wide_y > _FLAT * mid_y.abs())
    sound = sound & torch.isfinite(slope) & torch.isfinite(offset) & (slope > 0)
    return torch.where(sound, slope, 0.0), torch.where(sound, offset, 0.0), sound


def _standard(x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return numbers about their median in units of their mean distance from it, 0 where they do not count."""
    middle = masked_median(x, valid).view(-1, 1)
    wide = masked_mean((x - middle).abs(), valid, (1,)).view(-1, 1)
    return torch.where(valid, (x - middle) / wide.clamp(min=torch.finfo(x.dtype).tiny), 0.0), middle, wide


def _least_absolute(u: Tensor, v: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Return the line of least absolute differences, by least squares that are weighed anew."""
    weight = valid.to(u.dtype)
    line = _line(u, v, weight)
    for _ in range(_REWEIGHTED):
        line = _line(u, v, valid / (v - line[0] * u - line[1]).abs().clamp(min=1e-3))
    return line


def _concentrate(
    u: Tensor, v: Tensor, valid: Tensor, line: tuple[Tensor, Tensor]
) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Fit again and again to the pixels that lie nearest; return the line and how far these lie from it."""
    for _ in range(_CONCENTRATED):
        off = (v - line[0] * u - line[1]).abs()
        near = valid & (off <= masked_quantile(off, valid, KEPT).view(-1, 1))
        line = _line(u, v, near.to(u.dtype))
    off = (v - line[0] * u - line[1]).abs()
    near = valid & (off <= masked_quantile(off, valid, KEPT).view(-1, 1))
    return line, masked_mean(off.square(), near, (1,)).view(-1, 1)


def _line(u: Tensor, v: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return slope and offset of weighted least squares; slope 0 where nothing varies."""
    total = weight.sum(1, keepdim=True).clamp(min=torch.finfo(u.dtype).tiny)
    mean_u, mean_v = (weight * u).sum(1, keepdim=True) / total, (weight * v).sum(1, keepdim=True) / total
    about = u - mean_u
    spread = (weight * about.square()).sum(1, keepdim=True)
    slope = (weight * about * (v - mean_v)).sum(1, keepdim=True) / torch.where(spread > 0, spread, 1.0)
    slope = torch.where(spread > 0, slope, 0.0)
    return slope, mean_v - slope * mean_u
