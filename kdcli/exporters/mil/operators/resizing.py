"""Maps at another size: where each point of the new map lies in the old one, by each way of sampling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor


def upsample_bilinear(
    x: Tensor, scale_factor_height: float = 1, scale_factor_width: float = 1, align_corners: bool = True
) -> Tensor:
    """Between the four nearest; the factor is taken anew from the sizes."""
    mode = "STRICT_ALIGN_CORNERS" if align_corners else "UNALIGN_CORNERS"
    return _bilinear(x, _times(x, -2, scale_factor_height), _times(x, -1, scale_factor_width), mode)


def resize_bilinear(
    x: Tensor, target_size_height: int = 1, target_size_width: int = 1, sampling_mode: str = "DEFAULT"
) -> Tensor:
    """Between the four nearest, to a size."""
    return _bilinear(x, target_size_height, target_size_width, sampling_mode)


def upsample_nearest_neighbor(x: Tensor, scale_factor_height: float = 1, scale_factor_width: float = 1) -> Tensor:
    """The number at the point itself or before it."""
    for axis, factor in ((-2, scale_factor_height), (-1, scale_factor_width)):
        new, old = _times(x, axis, factor), int(x.shape[axis])
        x = x.index_select(axis, (torch.arange(new) * old).div(new, rounding_mode="floor"))
    return x


def points(old: int, new: int, mode: str) -> Tensor:
    """Return where ``new`` points lie among ``old`` ones, from 0 to ``old - 1``, in float64.

    Raises:
        ValueError: no such way of sampling.
    """
    place, last = torch.arange(new, dtype=torch.float64), float(old - 1)
    if mode == "ALIGN_CORNERS" and new == 1:
        return torch.full((1,), last / 2, dtype=torch.float64)
    if mode in ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS"):
        found = place * (last / max(new - 1, 1))
    elif mode == "UNALIGN_CORNERS":
        found = (place + 0.5) * (old / new) - 0.5
    elif mode == "DEFAULT":
        found = place * ((old - old / new) / max(new - 1, 1))
    elif mode == "OFFSET_CORNERS":
        found = (place + 0.5) * (max(1.0, last) / new)
    else:
        raise ValueError(f"sampling mode '{mode[:40]}' is not known here")
    return found.clamp(0.0, last)


def _bilinear(x: Tensor, height: int, width: int, mode: str) -> Tensor:
    for axis, new in ((-2, height), (-1, width)):
        old = int(x.shape[axis])
        place = points(old, new, mode)
        low = place.floor().long()
        share = (place - low).to(x.dtype).view(-1, *(1,) * (-1 - axis))
        near, far = x.index_select(axis, low), x.index_select(axis, (low + 1).clamp(max=old - 1))
        x = near + (far - near) * share
    return x


def _times(x: Tensor, axis: int, factor: float) -> int:
    """Return a side times a factor, rounded down; in float32, as the file's own sizes were found."""
    return int(torch.floor(torch.tensor(factor, dtype=torch.float32) * int(x.shape[axis])))


TABLE: Mapping[str, Callable[..., Any]] = {
    "upsample_bilinear": upsample_bilinear, "resize_bilinear": resize_bilinear,
    "upsample_nearest_neighbor": upsample_nearest_neighbor,
}  # fmt: skip
