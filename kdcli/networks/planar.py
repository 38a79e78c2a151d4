"""Local planar guidance (arXiv 1907.10326, section 3.3): a plane for every cell of a coarse map, and its depth inside.

A cell of side k has a unit normal n and a distance d from its own camera. With u, v the place of a pixel in the cell,
-1/2 to 1/2 of its side, the plane is seen there at depth d / (n1 u + n2 v + n3) (equation 3).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

STEEPEST = math.pi / 3
"""Greatest angle between a normal and the optical axis."""


class Reduction(nn.Module):
    """1x1 convolutions that halve the channels, with ELU between, down to 8; then one more to ``outputs``.

    first: channels after the first convolution. name: of the last layer among its neighbours.
    """

    def __init__(self, inputs: int, first: int, *, name: str, outputs: int) -> None:
        super().__init__()
        self.reduc = nn.Sequential()
        channels = first
        while channels >= 8:
            self.reduc.add_module(f"inter_{inputs}_{channels}", nn.Sequential(_conv1x1(inputs, channels), nn.ELU()))
            inputs, channels = channels, channels // 2
        last = _conv1x1(inputs, outputs)
        self.reduc.add_module(name, last if outputs > 1 else nn.Sequential(last, nn.Sigmoid()))

    def forward(self, feature: Tensor) -> Tensor:
        """Return B x outputs x h x w."""
        return self.reduc(feature)  # type: ignore[no-any-return]


class Planes(Reduction):
    """From a feature to planes: unit normal and distance, B x 4 x h x w in float32 at least, distance in 0..max_depth.

    Polar coordinates keep the normal a unit vector that looks at the camera.
    """

    def __init__(self, inputs: int, first: int, *, max_depth: float) -> None:
        super().__init__(inputs, first, name="plane_params", outputs=3)
        self.max_depth = max_depth

    def forward(self, feature: Tensor) -> Tensor:
        """Return the planes."""
        polar, azimuth, distance = torch.sigmoid(widened(self.reduc(feature))).chunk(3, dim=1)
        theta, phi = polar * STEEPEST, azimuth * (2 * math.pi)
        across = torch.sin(theta)
        normal = (across * torch.cos(phi), across * torch.sin(phi), torch.cos(theta))
        return torch.cat([*normal, distance * self.max_depth], dim=1)


class Guidance(nn.Module):
    """From planes to their depth at every pixel of their cells of ``side`` x ``side``.

    Depth is not bounded: a steep plane that passes the camera within its cell is seen at infinity and behind it.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, planes: Tensor) -> Tensor:
        """Return B x 1 x side*h x side*w in the unit of the distance, for planes B x 4 x h x w."""
        side = self.side
        place = (torch.arange(side, dtype=planes.dtype, device=planes.device) - (side - 1) / 2) / side
        # A cell's own axes beside those of the map, B x h x side x w x side: nothing is repeated in memory.
        n1, n2, n3, distance = planes[:, :, :, None, :, None].unbind(1)
        depth = distance / (n1 * place + n2 * place[:, None, None] + n3)
        return depth.flatten(3, 4).flatten(1, 2)[:, None]


def widened(tensor: Tensor) -> Tensor:
    """Return float32 for the half precisions of autocast, whose ten bits are too few for angles and metres."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _conv1x1(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 1, bias=False)
