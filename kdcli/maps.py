"""What losses do with maps of B x 1 x h x w: means over what is valid, sizes, precision. For authors of plugins too."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager

import torch
from torch import Tensor
from torch.nn import functional as F

from kdcli.types import Prediction

__all__ = [
    "at_size", "averaged", "averaged_alike", "full_precision", "masked_mean", "masked_median", "masked_quantile",
    "nearest", "safe_sqrt", "widen",
]


def masked_mean(values: Tensor, valid: Tensor, dim: tuple[int, ...] | None = None) -> Tensor:
    """Return the mean over valid entries, over everything or over some dimensions; 0 where none is valid."""
    total = torch.where(valid, values, 0.0).sum(dim) if dim else torch.where(valid, values, 0.0).sum()
    count = valid.sum(dim) if dim else valid.sum()
    return total / count.clamp_min(1).to(values.dtype)


def masked_median(map_B1HW: Tensor, valid_B1HW: Tensor) -> Tensor:
    """Return the median of each image over its counted pixels, B x 1 x 1 x 1; the mean of the middle two if even.

    NaN where nothing is counted.
    """
    if map_B1HW.device.type == "cpu":
        rows = zip(map_B1HW.flatten(1), valid_B1HW.flatten(1), strict=True)
        return torch.stack([_middle(values[valid]) for values, valid in rows]).view(-1, 1, 1, 1)
    valid = valid_B1HW.flatten(1)
    ordered = torch.where(valid, map_B1HW.flatten(1), torch.inf).sort(1).values
    count = valid.sum(1, keepdim=True)
    low, high = ((count - 1).clamp(min=0) // 2), (count // 2).clamp(max=ordered.shape[1] - 1)
    middle = (ordered.gather(1, low) + ordered.gather(1, high)) / 2
    return torch.where(count > 0, middle, torch.nan).view(-1, 1, 1, 1)


def masked_quantile(map_B1HW: Tensor, valid_B1HW: Tensor, share: float) -> Tensor:
    """Return the value below which a share of the counted pixels of each image lies (nearest rank), B x 1 x 1 x 1.

    NaN where nothing is counted.
    """
    if map_B1HW.device.type == "cpu":
        rows = zip(map_B1HW.flatten(1), valid_B1HW.flatten(1), strict=True)
        return torch.stack([_ranked(values[valid], share) for values, valid in rows]).view(-1, 1, 1, 1)
    valid = valid_B1HW.flatten(1)
    ordered = torch.where(valid, map_B1HW.flatten(1), torch.inf).sort(1).values
    count = valid.sum(1, keepdim=True)
    rank = ((count - 1) * share).round().long().clamp(min=0)
    return torch.where(count > 0, ordered.gather(1, rank), torch.nan).view(-1, 1, 1, 1)


def _middle(values: Tensor) -> Tensor:
    """Return the median of N numbers by selection, which a CPU does several times faster than it sorts."""
    count = len(values)
    if not count:
        return values.new_tensor(torch.nan)
    low = values.kthvalue((count + 1) // 2).values
    return low if count % 2 else (low + values.kthvalue(count // 2 + 1).values) / 2


def _ranked(values: Tensor, share: float) -> Tensor:
    if not len(values):
        return values.new_tensor(torch.nan)
    rank = round((len(values) - 1) * share)
    return values.kthvalue(rank + 1).values


def widen(values: Tensor) -> Tensor:
    """Return float32 for narrower floats; float32 and float64 as they are."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which autocast is off on the device."""
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return contextlib.nullcontext()


def safe_sqrt(values: Tensor, smallest: float = 1e-14) -> Tensor:
    """Return the square root, and 0 with a zero gradient below ``smallest``, where the true gradient is infinite."""
    positive = values > smallest
    return torch.where(positive, torch.where(positive, values, 1.0).sqrt(), 0.0)


def nearest(values: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring B x C x H x W of any type to h x w by nearest neighbour; the type stays."""
    if tuple(values.shape[-2:]) == size:
        return values
    return F.interpolate(values.double(), size=size, mode="nearest-exact").to(values.dtype)


def at_size(prediction: Prediction, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Bring a prediction to h x w in its own output space, with where it is valid; float32, float64 stays.

    A map with holes is resized by nearest neighbour, so that a hole never bleeds into what was measured.
    """
    depth, valid = widen(prediction.depth), prediction.valid
    if tuple(depth.shape[-2:]) != size:
        if valid is None:
            depth = F.interpolate(depth, size=size, mode="bilinear", align_corners=False, antialias=True)
        else:
            depth = F.interpolate(depth, size=size, mode="nearest-exact")
            valid = F.interpolate(valid.to(depth.dtype), size=size, mode="nearest-exact") > 0.5
    good = torch.isfinite(depth)
    if not prediction.kind.is_disparity:
        good = good & (depth > 0)
    return depth, good if valid is None else good & valid


def averaged_alike(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Return two features B x C x h x w in at least float32; along each side the larger is averaged to the smaller."""
    one, other = widen(one), widen(other)
    height, width = (min(a, b) for a, b in zip(one.shape[-2:], other.shape[-2:], strict=True))
    return averaged(one, height, width), averaged(other, height, width)


def averaged(feature: Tensor, height: int, width: int) -> Tensor:
    """Return B x C x h x w averaged to another size; as it is where it has that size."""
    if tuple(feature.shape[-2:]) == (height, width):
        return feature
    return F.adaptive_avg_pool2d(feature, (height, width))
