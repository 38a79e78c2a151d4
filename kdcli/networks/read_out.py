"""From a network's own map to the depth that its authors publish: focal length, clip, resize, mirror average."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor
from torch.nn.functional import interpolate

from kdcli.maps import widen
from kdcli.types import Prediction, ReadOut
from kdcli.uncertainty import Spread, spread_of

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
    values = _for_camera(widen(prediction.depth), read, focal)
    return values if read.clip is None else values.clamp(*read.clip)


def own_spread(
    prediction: Prediction, read: ReadOut, focal: Tensor | None = None, shares: Sequence[float] = ()
) -> Spread | None:
    """Return how sure the network is, read out as ``own_map`` does: for the camera, intervals within the clip.

    None where the prediction says nothing of it. shares: of the central intervals to return.
    """
    spread = spread_of(prediction, shares)
    if spread is None:
        return None
    ends = None if spread.ends is None else _for_camera(spread.ends, read, focal)
    if ends is not None and read.clip is not None:
        ends = ends.clamp(*read.clip)
    return replace(spread, std=_for_camera(spread.std, read, focal), ends=ends)


def resize_spread(spread: Spread, size: tuple[int, int], how: str) -> Spread:
    """Resize the maps of a spread as ``resize_map``; bicubic overshoot never makes a deviation negative."""
    resized = spread.map(lambda one: resize_map(one, size, how))
    return replace(resized, std=resized.std.clamp(min=0))


def resize_map(map_B1HW: Tensor, size: tuple[int, int], how: str) -> Tensor:
    """Resize a map by one of the ways of ``ReadOut.resize``."""
    if tuple(map_B1HW.shape[-2:]) == size:
        return map_B1HW
    if how == "nearest":
        return interpolate(map_B1HW, size, mode="nearest-exact")
    if how == "bicubic":
        return interpolate(map_B1HW, size, mode="bicubic", align_corners=False)
    return interpolate(map_B1HW, size, mode="bilinear", align_corners=how == "bilinear-corners")


def _for_camera(values: Tensor, read: ReadOut, focal: Tensor | None) -> Tensor:
    if read.focal is None or focal is None:
        return values
    return values * (focal.to(values) / read.focal).view(-1, 1, 1, 1)
