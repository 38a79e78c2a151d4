"""Pixels that are worth a look when nobody names any."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

MARGIN, APART = 0.05, 0.15
"""Shares of the shorter side that are left at the border, and of the diagonal between two pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pixel:
    """A place in a picture, from 0 at its top left. why: how it was chosen."""

    x: int
    y: int
    why: str = "given"


def choose(depth_HW: Tensor, entropy_HW: Tensor) -> tuple[Pixel, ...]:
    """Return four pixels away from the border and from each other.

    The surest, one of middling entropy, the least sure, and one at an edge of depth. Entropy is smoothed first, so that
    it is a place and not a speckle.
    """
    smooth = _smooth(entropy_HW)
    wanted = {
        "lowest entropy": -smooth,
        "median entropy": -(smooth - smooth[_free(smooth)].median()).abs(),
        "highest entropy": smooth,
        "depth edge": _steps(depth_HW.clamp(min=1e-6).log()),
    }
    return _apart(wanted, ("lowest entropy", "highest entropy", "depth edge", "median entropy"))


def choose_by_depth(depth_HW: Tensor, teacher_HW: Tensor | None = None) -> tuple[Pixel, ...]:
    """Return the same where nothing is known but depth: its least and its greatest, an edge, and where it is farthest
    from a teacher's or, without one, of middling depth."""
    smooth = _smooth(depth_HW)
    wanted = {"least depth": -smooth, "greatest depth": smooth, "depth edge": _steps(depth_HW)}
    if teacher_HW is None:
        wanted["median depth"] = -(smooth - smooth[_free(smooth)].median()).abs()
    else:
        wanted["farthest from the teacher"] = _smooth((depth_HW - teacher_HW).abs())
    return _apart(wanted, tuple(reversed(wanted)))


def _smooth(values_HW: Tensor) -> Tensor:
    return functional.avg_pool2d(values_HW[None, None], 5, stride=1, padding=2, count_include_pad=False)[0, 0]


def _steps(values_HW: Tensor) -> Tensor:
    """Return how much a map changes towards the next pixel, right or below."""
    steps = (functional.pad(values_HW.diff(dim=d), (0, d, 0, 1 - d)).abs() for d in (0, 1))
    return torch.stack(list(steps)).amax(0)


def _free(values_HW: Tensor) -> Tensor:
    """Return what is away from the border."""
    height, width = values_HW.shape
    free = torch.zeros(height, width, dtype=torch.bool)
    margin = min(math.ceil(MARGIN * min(height, width)), (min(height, width) - 1) // 2)
    free[margin : height - margin, margin : width - margin] = True
    return free


def _apart(wanted: Mapping[str, Tensor], order: Sequence[str]) -> tuple[Pixel, ...]:
    """Return the best place of each map, in its order; those that are asked for first keep the others away."""
    height, width = wanted[order[0]].shape
    free = _free(wanted[order[0]])
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    distance = APART * math.hypot(height, width)
    found: list[Pixel] = []
    for why in order:
        if not free.any():
            break
        score = wanted[why].nan_to_num(-torch.inf).masked_fill(~free, -torch.inf)
        y, x = divmod(int(score.argmax()), width)
        found.append(Pixel(x=x, y=y, why=why))
        free &= (rows - y).square() + (columns - x).square() >= distance**2
    return tuple(sorted(found, key=lambda pixel: list(wanted).index(pixel.why)))
