"""Resizing of maps in which 0 means unknown."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import interpolate


def resize_known(map_B1HW: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring maps to h x w smoothly: the mean of what is known around a pixel, 0 where that is less than half of it.

    Of a map without holes this is the plain antialiased bilinear one; a hole never bleeds into its neighbours.
    """
    if tuple(map_B1HW.shape[-2:]) == size:
        return map_B1HW
    known = (map_B1HW != 0).to(map_B1HW.dtype)
    share = interpolate(known, size=size, mode="bilinear", align_corners=False, antialias=True)
    values = interpolate(map_B1HW, size=size, mode="bilinear", align_corners=False, antialias=True)
    return (values / share.clamp(min=0.5)).where(share >= 0.5, 0)
