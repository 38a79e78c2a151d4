"""The pixels of one image that count, as a list: what a CPU measures, so that what does not count costs nothing.

Truth from a laser covers a few pixels of a hundred, and a CPU would spend its time on the others. A GPU measures whole
maps with a mask instead: a list has a length, and to learn it the program would have to wait for the device.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kdcli.evals.batches import Prepared

Floats = NDArray[np.floating]
"""N numbers of float32; float64 where the map was."""

_SPARSE = 10
"""From one pixel in so many downwards, eight are looked at at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """The pixels of one image that count.

    at: their places in the flattened map of the region that the model is shown; None = all of it. truth: their depth.
    around: depth of those outside the region, where a protocol pastes it into a larger frame.
    """

    at: NDArray[np.intp] | None
    truth: Floats
    around: Floats

    def __len__(self) -> int:
        return len(self.truth) + len(self.around)

    def of(self, map_1HW: Tensor) -> Floats:
        """Return the numbers of a map of the region at these pixels; the map itself, as a view, where all count."""
        flat = numbers(map_1HW)
        return flat if self.at is None else flat[self.at]

    def where(self, mask_1HW: Tensor) -> Listed:
        """Return the pixels that are on in a mask of the region too; those around it stay."""
        flat = mask_1HW.reshape(-1).numpy()
        kept = flat if self.at is None else flat[self.at]
        at = np.flatnonzero(kept) if self.at is None else self.at[kept]
        return Listed(at=at, truth=self.truth[kept], around=self.around)


def by_lists(device: torch.device) -> bool:
    """Whether images on a device are measured by lists; otherwise as batches of maps with masks."""
    return device.type == "cpu"


def listed(prepared: Prepared) -> list[Listed]:
    """Return the pixels that count of each image of a batch on the CPU."""
    return list(_listed(prepared))


def numbers(map_1HW: Tensor) -> Floats:
    """Return a map as a flat array of float32 (float64 stays), without a copy where it can be."""
    flat = map_1HW.detach().reshape(-1)
    flat = flat if flat.dtype in (torch.float32, torch.float64) else flat.float()
    made: Floats = flat.numpy()
    return made


def positions(mask: NDArray[np.bool_]) -> NDArray[np.intp] | None:
    """Return where a flat mask is on, in order; None where it is on everywhere."""
    count = int(np.count_nonzero(mask))
    if count == mask.size:
        return None
    if count * _SPARSE > mask.size:
        return np.flatnonzero(mask)
    whole = mask.size - mask.size % 8
    words = mask[:whole].view(np.uint64)
    some = np.flatnonzero(words != 0)
    inside = np.flatnonzero(words[some].view(np.bool_))
    found = (some[inside >> 3] << 3) + (inside & 7)
    tail = np.flatnonzero(mask[whole:])
    return np.concatenate([found, tail + whole]) if len(tail) else found


def _listed(prepared: Prepared) -> Iterator[Listed]:
    batch = prepared.batch
    assert batch.depth is not None and batch.valid is not None
    height, width = batch.depth.shape[-2:]
    pasted = prepared.valid.shape[-2:] != batch.valid.shape[-2:]
    for depth, valid, whole, counted in zip(batch.depth, batch.valid, prepared.depth, prepared.valid, strict=True):
        at = positions(valid.reshape(-1).numpy())
        flat = numbers(depth)
        around = flat[:0]
        if pasted:
            outside = counted.clone()
            top, left = prepared.corner
            outside[..., top : top + height, left : left + width] = False
            around = numbers(whole)[outside.reshape(-1).numpy()]
        yield Listed(at=at, truth=flat if at is None else flat[at], around=around)
