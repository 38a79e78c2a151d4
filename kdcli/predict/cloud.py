"""Depth as points in space: each pixel moved out along its ray, without holes and without what flies between surfaces.

Axes are those of glTF and of most viewers: x right, y up, the camera at the origin looking along -z.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from kdcli.cameras import Camera

EDGE = 3.0
"""Degrees between a surface and the line of sight below which it counts as an edge."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cloud:
    """Points. xyz: N x 3 float32, in the unit of the depth. rgb: N x 3 uint8, sRGB. metres: whether that is metres.

    holes, edges: pixels that have no point, since there is no depth, or since they lie at an edge.
    """

    xyz: NDArray[np.float32]
    rgb: NDArray[np.uint8]
    metres: bool
    holes: int
    edges: int


def cloud_of(
    image_3HW: Tensor, depth_HW: Tensor, valid_HW: Tensor, camera: Camera, *, metres: bool, edge: float = EDGE
) -> Cloud:
    """Return the points of a picture in 0..1 with depth along the optical axis.

    Args:
        valid_HW: bool, where there is depth; what is not finite or not above 0 has no point either.
        camera: fx, fy, cx, cy in pixels of the picture, see ``kdcli.cameras``.
        edge: see ``at_edges``; 0 keeps every pixel.
    """
    known = valid_HW & torch.isfinite(depth_HW) & (depth_HW > 0)
    fx, fy, cx, cy = camera
    kept = known & ~at_edges(depth_HW, known, math.sqrt(fx * fy), edge) if edge > 0 else known
    rows, columns = torch.nonzero(kept, as_tuple=True)
    # Of a pixel's place in 64 bits: far from the axis, 32 are few.
    z = depth_HW[rows, columns].double()
    xyz = torch.stack([(columns - cx) * z / fx, -(rows - cy) * z / fy, -z], dim=1).float()
    rgb = image_3HW[:, rows, columns].T.clamp(0, 1).mul(255).round().to(torch.uint8)
    return Cloud(
        xyz=xyz.contiguous().numpy(), rgb=rgb.contiguous().numpy(), metres=metres,
        holes=int((~known).sum()), edges=int((known & ~kept).sum()),
    )  # fmt: skip


def at_edges(depth_HW: Tensor, known_HW: Tensor, focal: float, degrees: float = EDGE) -> Tensor:
    """Return where a surface lies nearly along the line of sight, H x W bool: depth changes too much for a surface.

    Networks draw edges of objects as slopes over some pixels; in space these fly between object and background. The
    same drops real surfaces that are seen at a very flat angle, such as a road far away. An angle, unlike a share of
    depth, means the same in a small picture and in an enlarged one.

    Args:
        focal: focal length in pixels: 2 / focal is the width of 3 pixels, middle to middle, at depth 1.
        degrees: pixels are dropped where farthest and nearest of 3 x 3 lie on a surface that is flatter than this.
    """
    steepest = 2 / focal / math.tan(math.radians(degrees))
    depth_1HW = depth_HW[None].float()
    far = functional.max_pool2d(depth_1HW.masked_fill(~known_HW, -torch.inf), 3, stride=1, padding=1)[0]
    near = -functional.max_pool2d((-depth_1HW).masked_fill(~known_HW, -torch.inf), 3, stride=1, padding=1)[0]
    return known_HW & (far > near * (1 + steepest))
