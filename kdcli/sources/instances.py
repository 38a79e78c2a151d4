"""Object ids on disk: one whole number a pixel, a palette, or a colour an object."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from kdcli.errors import DataError
from kdcli.images import opened
from kdcli.rasters import Element, Place, ending_of, read_array
from kdcli.rasters.elements import read_element
from kdcli.rasters.tiffs import floating

INSTANCE_SUFFIXES = frozenset({".png", ".tif", ".tiff", ".bmp", ".npy"})
"""Endings of files that are taken for object ids, lower case; formats that blur numbers are left out."""

_WHOLE = ("1", "L", "P", "I;16", "I;16B", "I;16L", "I")


def read_instances(path: Place, *, void: int | None = None) -> Tensor:
    """Read object ids as H x W int64, 0 = no object.

    Files of one channel hold the ids themselves: numbers of 8 or 16 bits, the index of a palette, a mask of 0 and 1. In
    a colour picture every colour is an object and black is none; its ids are 1..n in the order of R + 256 G + 65536 B,
    the number that COCO's panoptic files store so. void: a further stored number that means no object.

    Raises:
        DataError: missing, broken, a Git LFS pointer, too large, or no whole numbers.
    """
    ids, coloured = stored_ids(path)
    if void is not None:
        ids[ids == void] = 0
    if ids.min() < 0:
        raise DataError(f"'{path}' has the object id {ids.min()}; ids are 0 (no object) or above")
    if coloured:  # such numbers are too large to tell objects apart by a table
        known, index = np.unique(ids, return_inverse=True)
        ids = index.reshape(ids.shape) + (0 if known[0] == 0 else 1)
    return torch.from_numpy(ids)


def stored_ids(path: Place) -> tuple[NDArray[np.int64], bool]:
    """Return the numbers of a file as they are stored, H x W, and whether each is a colour.

    Raises:
        DataError: as of ``read_instances``.
    """
    if isinstance(path, Element) or ending_of(path) == ".npy":
        array = read_element(path) if isinstance(path, Element) else read_array(path)[0]
        if array.dtype.kind not in "iu":
            raise DataError(f"'{path}' holds {array.dtype}, not whole numbers; store object ids as uint16")
        ids, coloured = array.astype(np.int64), False
    else:
        with opened(path) as image:
            coloured = image.mode in ("RGB", "RGBA")
            mode = "F" if floating(image) else image.mode
            if not coloured and mode not in _WHOLE:
                raise DataError(f"'{path}' is a picture of mode {mode}, not object ids; give a 16-bit PNG of ids")
            ids = np.asarray(image).astype(np.int64)
    if coloured:
        ids = ids[..., 0] + 256 * ids[..., 1] + 65536 * ids[..., 2]
    return ids, coloured


def resize_instances(ids: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring object ids, h x w int64, to H x W by nearest neighbour: no id comes about that was not there."""
    if tuple(ids.shape) == size:
        return ids
    # float64 holds every id exactly.
    return interpolate(ids[None, None].double(), size, mode="nearest-exact")[0, 0].to(ids.dtype)
