"""Depth laid over its image: as colours, as the lines where it jumps, or as dots where it is sparse.

Everything is drawn at the size that is looked at, so that a line is a line and a dot a dot at any size.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import adaptive_max_pool2d, interpolate, max_pool2d

from kdcli.colour import colourise

Overlay = Literal["beside", "over", "edges"]
"""Depth alone, its colours over the image, or the lines where it jumps over the image."""

_STRENGTH = 0.65
"""How much of the colour of depth shows where it is laid over its image."""
_DOT_STRENGTH = 0.85
_SPARSE = 0.5
"""Share of valid pixels below which depth is dots, at least where no hole is larger than a line of a LiDAR."""
_DOT, _THIN = 3, 0.3
"""Width of a dot, and the share of drawn pixels with a point from which on points are dots without being widened."""
_JUMP = 0.08
"""Share of itself by which inverse depth changes from one drawn pixel to the next where a line is drawn."""
_DIMMED = 0.55
_LINE = (1.0, 0.1, 0.9)


def depth_picture(
    image_3HW: Tensor, depth_1hw: Tensor, valid_1hw: Tensor | None, overlay: Overlay, *, disparity: bool = False
) -> Tensor:
    """Paint depth at the size of the image, which is that of the drawing, 3 x H x W in 0..1.

    disparity: larger numbers are nearer. Sparse depth is drawn as dots that can be seen, the nearer above the farther.
    """
    size = (image_3HW.shape[-2], image_3HW.shape[-1])
    valid = torch.isfinite(depth_1hw) if valid_1hw is None else valid_1hw
    sparse = bool(valid.any()) and float(valid.float().mean()) < _SPARSE and _scattered(valid)
    depth, known = _dots(depth_1hw, valid, size, disparity) if sparse else _scaled(depth_1hw, valid, size)
    painted = colourise(depth[0], known[0], disparity=disparity)
    if overlay == "beside":
        return painted
    if overlay == "edges" and not sparse:
        grey = image_3HW.mean(0, keepdim=True).expand_as(image_3HW) * _DIMMED
        return torch.where(_jumps(depth, known, disparity), image_3HW.new_tensor(_LINE)[:, None, None], grey)
    strength = _DOT_STRENGTH if sparse else _STRENGTH
    return image_3HW + strength * (painted - image_3HW) * known


def _scattered(valid_1hw: Tensor) -> bool:
    """Whether valid pixels are points: growing each by a pixel makes at least half as many again."""
    grown = max_pool2d(valid_1hw[None].float(), 3, 1, 1)
    return float(grown.sum()) >= 1.5 * float(valid_1hw.sum())


def _scaled(depth_1hw: Tensor, valid_1hw: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    # Hard edges: blending two depths would show something that is not there.
    depth, known = (interpolate(part[None].float(), size, mode="nearest-exact")[0] for part in (depth_1hw, valid_1hw))
    return depth, known > 0


def _dots(depth_1hw: Tensor, valid_1hw: Tensor, size: tuple[int, int], disparity: bool) -> tuple[Tensor, Tensor]:
    """Return depth of the nearest point around each drawn pixel, and where there is one."""
    near = depth_1hw if disparity else 1 / depth_1hw.clamp(min=1e-6)
    near = torch.where(valid_1hw, near, -torch.inf)[None]
    if size[0] <= depth_1hw.shape[-2] and size[1] <= depth_1hw.shape[-1]:
        near = adaptive_max_pool2d(near, size)
    else:
        near = interpolate(near, size, mode="nearest-exact")
    if float(torch.isfinite(near).float().mean()) < _THIN:
        near = max_pool2d(near, _DOT, 1, _DOT // 2)
    near = near[0]
    known = torch.isfinite(near)
    depth = near if disparity else 1 / near
    return torch.where(known, depth, torch.zeros_like(depth)), known


def _jumps(depth_1HW: Tensor, known_1HW: Tensor, disparity: bool) -> Tensor:
    """Return the drawn pixels at which depth jumps, 1 x H x W bool; the rim of a hole is no jump."""
    near = depth_1HW if disparity else 1 / depth_1HW.clamp(min=1e-6)
    found = torch.zeros_like(known_1HW)
    for dim in (-2, -1):
        count = near.shape[dim] - 1
        one, other = near.narrow(dim, 0, count), near.narrow(dim, 1, count)
        both = known_1HW.narrow(dim, 0, count) & known_1HW.narrow(dim, 1, count)
        jump = ((one - other).abs() > _JUMP * torch.maximum(one.abs(), other.abs())) & both
        found.narrow(dim, 0, count).logical_or_(jump)
    return found
