"""The pixels of one image that count, as a list: what a CPU measures, so that what does not count costs nothing.

Truth from a laser covers a few pixels of a hundred, and a CPU would spend its time on the others. A GPU measures whole
maps with a mask instead: a list has a length, and to learn it the program would have to wait for the device.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.floating]
"""N numbers of float32; float64 where the map was."""

Box = tuple[slice, slice]
"""Rows and columns."""

_SPARSE = 10
"""From one pixel in so many downwards, eight are looked at at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """The pixels of one image that count.

    at: their places in the flattened map of the region that the model is shown, or rows and columns all of whose pixels
    count. truth: their depth, N numbers, or a view of rows and columns. around: depth of those outside the region,
    where a protocol pastes it into a larger frame.
    """

    at: NDArray[np.intp] | Box
    truth: Floats
    around: Floats

    def __len__(self) -> int:
        return self.truth.size + len(self.around)

    def of(self, map_1HW: Tensor) -> Floats:
        """Return the numbers of a map of the region at these pixels; a view where they are rows and columns."""
        return taken(map_1HW, self.at)

    def where(self, mask_1HW: Tensor) -> Listed:
        """Return the pixels that are on in a mask of the region too; those around it stay."""
        kept = mask_1HW.reshape(-1).numpy()[self.places(int(mask_1HW.shape[-2]), int(mask_1HW.shape[-1]))]
        at = self.places(int(mask_1HW.shape[-2]), int(mask_1HW.shape[-1]))[kept]
        return Listed(at=at, truth=self.truth.reshape(-1)[kept], around=self.around)

    def places(self, height: int, width: int) -> NDArray[np.intp]:
        """Return the places in a flattened map of the region, of height and width."""
        if isinstance(self.at, tuple):
            return np.arange(height * width).reshape(height, width)[self.at].reshape(-1)
        return self.at


def by_lists(device: torch.device) -> bool:
    """Whether images on a device are measured by lists; otherwise as batches of maps with masks."""
    return device.type == "cpu"


def counting(
    depth_1HW: Tensor, valid_1HW: Tensor, inside: Box, low: float, high: float
) -> tuple[Tensor, Listed]:
    """Return which pixels count, 1 x H x W, and their list: valid, inside a box, strictly between two depths.

    The range is asked of pixels that are valid alone. NaN is in no range, and infinity not below infinity.
    """
    valid = valid_1HW[0].numpy()
    (top, bottom, _), (left, right, _) = (one.indices(side) for one, side in zip(inside, valid.shape, strict=True))
    mask = valid.copy()
    mask[:top], mask[bottom:] = False, False
    mask[top:bottom, :left], mask[top:bottom, right:] = False, False
    at: NDArray[np.intp] | Box
    if mask[inside].all():
        at = inside
    else:
        at = positions(mask[top:bottom].reshape(-1))  # beyond these rows nothing is on
        if top:
            at += top * mask.shape[1]
    truth = taken(depth_1HW, at)
    # Whole rows lie together, which is faster to look through; what they have beside the box mostly is in range too.
    rows = depth_1HW[:, top:bottom] if isinstance(at, tuple) else None
    if not (rows is not None and _between(numbers(rows), low, high)) and not _between(truth, low, high):
        kept = (truth > low) & (truth < high)
        if isinstance(at, tuple):
            mask[at] = kept
            at = positions(mask.reshape(-1))
        else:
            mask.reshape(-1)[at] = kept
            at = at[kept]
        truth = truth[kept]
    return torch.from_numpy(mask[None]), Listed(at=at, truth=truth, around=np.empty(0, truth.dtype))


def _between(values: Floats, low: float, high: float) -> bool:
    nearest, farthest = ends(values)
    return bool(nearest > low and farthest < high)


def ends(values: Floats) -> tuple[np.floating, np.floating]:
    """Return the least and the greatest of N numbers, in their own precision; NaN where there is one, or N is 0.

    In most images these two say of all numbers what a comparison would say of each.
    """
    if not values.size:
        return np.float32("nan"), np.float32("nan")
    return np.minimum.reduce(values, axis=None), np.maximum.reduce(values, axis=None)


def numbers(map_1HW: Tensor) -> Floats:
    """Return a map as a flat array of float32 (float64 stays), without a copy where it can be."""
    flat = map_1HW.detach().reshape(-1)
    flat = flat if flat.dtype in (torch.float32, torch.float64) else flat.float()
    made: Floats = flat.numpy()
    return made


def positions(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return where a flat mask is on, in order."""
    if int(np.count_nonzero(mask)) * _SPARSE > mask.size:
        return np.flatnonzero(mask)
    whole = mask.size - mask.size % 8
    words = mask[:whole].view(np.uint64)
    gap = (words != 0).nonzero()[0]
    inside: NDArray[np.intp] = words.take(gap).view(np.bool_).nonzero()[0]
    gap -= np.arange(len(gap))
    gap <<= 3  # by how much the words that are off move those that are on
    inside += gap.take(inside >> 3)
    tail = mask[whole:].nonzero()[0]
    return np.concatenate([inside, tail + whole]) if len(tail) else inside


def taken(map_1HW: Tensor, at: NDArray[np.intp] | Box) -> Floats:
    """Return the numbers of a map at places in it, N, or at rows and columns, as a view of them."""
    if not isinstance(at, tuple):
        return numbers(map_1HW)[at]
    return numbers(map_1HW).reshape(map_1HW.shape[-2:])[at]
