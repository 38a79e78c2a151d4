"""Pixels that are worth a look when nobody names any."""

from __future__ import annotations

import math
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
    height, width = depth_HW.shape
    smooth = functional.avg_pool2d(entropy_HW[None, None], 5, stride=1, padding=2, count_include_pad=False)[0, 0]
    log = depth_HW.clamp(min=1e-6).log()
    steps = (functional.pad(log.diff(dim=d), (0, d, 0, 1 - d)).abs() for d in (0, 1))
    edge = torch.stack(list(steps)).amax(0)
    free = torch.zeros(height, width, dtype=torch.bool)
    margin = min(math.ceil(MARGIN * min(height, width)), (min(height, width) - 1) // 2)
    free[margin : height - margin, margin : width - margin] = True
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    distance = APART * math.hypot(height, width)
    wanted = {
        "lowest entropy": -smooth,
        "median entropy": -(smooth - smooth[free].median()).abs(),
        "highest entropy": smooth,
        "depth edge": edge,
    }
    found: list[Pixel] = []
    for why in ("lowest entropy", "highest entropy", "depth edge", "median entropy"):
        if not free.any():
            break
        score = wanted[why].nan_to_num(-torch.inf).masked_fill(~free, -torch.inf)
        y, x = divmod(int(score.argmax()), width)
        found.append(Pixel(x=x, y=y, why=why))
        free &= (rows - y).square() + (columns - x).square() >= distance**2
    return tuple(sorted(found, key=lambda pixel: list(wanted).index(pixel.why)))
