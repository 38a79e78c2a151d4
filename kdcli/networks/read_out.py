"""From a network's own map to the depth that its authors publish: focal length, clip, resize, mirror average."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn.functional import interpolate

from kdcli.types import Prediction, ReadOut

PLAIN = ReadOut()
"""Of a model that declares nothing."""


def read_out_of(model: Any) -> ReadOut:
    """Return what a model declares, or ``PLAIN``."""
    declared = getattr(model, "read_out", None)
    return declared if isinstance(declared, ReadOut) else PLAIN


def own_map(prediction: Prediction, read: ReadOut, focal: Tensor | None = None) -> Tensor:
    """Return the map at the network's own resolution, B x 1 x h x w float32, for the camera and within the clip.

    Args:
        prediction: of a batch.
        read: how its authors go on.
        focal: B focal lengths in pixels of the images as the network saw them; None where they are not known: the map
            then stays that of the focal length which the network is meant for.
    """
    values = prediction.depth.float()
    if read.focal is not None and focal is not None:
        values = values * (focal.to(values) / read.focal).view(-1, 1, 1, 1)
    return values if read.clip is None else values.clamp(*read.clip)


def resize_map(map_B1HW: Tensor, size: tuple[int, int], how: str) -> Tensor:
    """Resize a map by one of the ways of ``ReadOut.resize``."""
    if tuple(map_B1HW.shape[-2:]) == size:
        return map_B1HW
    if how == "nearest":
        return interpolate(map_B1HW, size, mode="nearest-exact")
    if how == "bicubic":
        return interpolate(map_B1HW, size, mode="bicubic", align_corners=False)
    return interpolate(map_B1HW, size, mode="bilinear", align_corners=how == "bilinear-corners")
