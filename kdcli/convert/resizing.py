"""An item at the size that it is written at: images smoothly, depth and ids by nearest neighbour, the camera along."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from kdcli.cameras import resize_camera
from kdcli.types import Sample

Size = tuple[int, int]


def resized(sample: Sample, size: Size) -> Sample:
    """Return a sample of H x W: what training makes of it at that size, but for the rounding to 8 bits later.

    Depth is taken from its own pixels, whatever the size of the image.
    """
    height, width = int(sample.image.shape[-2]), int(sample.image.shape[-1])
    image = sample.image
    if (height, width) != size:
        image = F.interpolate(image[None], size=size, mode="bilinear", align_corners=False, antialias=True)[0]
    camera = None if sample.intrinsics is None else resize_camera(sample.intrinsics, (height, width), size)
    return replace(
        sample, image=image.clamp(0, 1), depth=nearest(sample.depth, size), valid=nearest(sample.valid, size),
        instances=nearest(sample.instances, size), intrinsics=camera,
    )


def nearest(grid: Tensor | None, size: Size) -> Tensor | None:
    """Return a map ... x h x w at H x W: of each new pixel the old one that its centre lies in."""
    if grid is None or tuple(grid.shape[-2:]) == size:
        return grid
    rows, columns = (_picked(old, new) for old, new in zip(grid.shape[-2:], size, strict=True))
    return grid.index_select(-2, rows).index_select(-1, columns)


def _picked(old: int, new: int) -> Tensor:
    # In float32 as torch counts, so that of two that are as near training and this take the same.
    places = (np.arange(new, dtype=np.float32) + np.float32(0.5)) * (np.float32(old) / np.float32(new))
    return torch.from_numpy(np.minimum(places.astype(np.int64), old - 1))
