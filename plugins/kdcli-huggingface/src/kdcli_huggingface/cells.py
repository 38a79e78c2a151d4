"""What single cells of a table hold: a photograph, a map of depth, ids of objects, a camera."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from kdcli.errors import DataError

FURTHEST = 1e5
"""Metres from which on a number is a mark for none."""

_NO_VALUE = 65535
_MAPS = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
"""Modes of pictures that hold one number of more than 8 bits a pixel."""


def photograph(cell: Any, where: str) -> Tensor:
    """Return a photograph as 3 x H x W float32 in 0..1.

    Raises:
        DataError: no picture, or one of numbers.
    """
    if not isinstance(cell, Image.Image):
        raise DataError(f"{where} holds {_kind(cell)}, not a picture; name the column of images with image=")
    if cell.mode in _MAPS:
        raise DataError(f"{where} is a map of mode {cell.mode}, no photograph; name the column of images with image=")
    pixels = np.array(cell.convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1).to(torch.float32).div_(255)


def metres(cell: Any, scale: float | None, where: str) -> tuple[Tensor, Tensor]:
    """Return depth in metres and where it is valid, 1 x h x w float32 and bool.

    scale: stored units per metre; by default 1000 in whole numbers and 1 in floats.

    Raises:
        DataError: a picture of depth, or no map of numbers.
    """
    array = numbers(cell, where)
    units = scale if scale is not None else 1.0 if array.dtype.kind == "f" else 1000.0
    with np.errstate(over="ignore", invalid="ignore"):
        depth = array.astype(np.float32) / np.float32(units)
        valid = np.isfinite(depth) & (depth > 0) & (depth < FURTHEST) & (array != _NO_VALUE)
    return torch.from_numpy(np.where(valid, depth, np.float32(0)))[None], torch.from_numpy(valid)[None]


def numbers(cell: Any, where: str) -> NDArray[Any]:
    """Return the numbers of a map, h x w, as they are stored.

    Raises:
        DataError: as ``metres``.
    """
    if isinstance(cell, Image.Image):
        if cell.mode not in _MAPS:
            raise DataError(
                f"{where} is a picture of mode {cell.mode}, that is a picture of depth and not depth; name the column "
                "that holds numbers with depth="
            )
        return np.asarray(cell)
    array = np.asarray(cell)
    flat = array.reshape([n for n in array.shape if n != 1]) if array.ndim > 2 else array
    if flat.ndim != 2 or flat.dtype.kind not in "iuf":
        raise DataError(f"{where} holds {_kind(cell)}, not a map of numbers; name the column of depth with depth=")
    return flat


def object_ids(cell: Any, where: str) -> Tensor:
    """Return object ids as h x w int64.

    Raises:
        DataError: no whole numbers, one a pixel.
    """
    picture = isinstance(cell, Image.Image)
    array = np.asarray(cell)
    if array.ndim != 2 or array.dtype.kind not in "iub" or (picture and cell.mode in ("F", "1")):
        what = f"a picture of mode {cell.mode}" if picture else _kind(cell)
        raise DataError(f"{where} holds {what}, not object ids; name their column with instances=")
    return torch.from_numpy(array.astype(np.int64))


def camera(cell: Any, where: str) -> Tensor:
    """Return fx, fy, cx, cy of a cell with 3 x 3, 9 or 4 numbers, in pixels.

    Raises:
        DataError: it has others.
    """
    try:
        flat = np.asarray(cell, dtype=np.float64).ravel().tolist()
    except (TypeError, ValueError):
        flat = []
    if len(flat) == 9:
        flat = [flat[0], flat[4], flat[2], flat[5]]
    if len(flat) != 4 or not all(map(math.isfinite, flat)) or min(flat[:2]) < 1:
        raise DataError(f"{where} holds no camera of 3 x 3 or 4 numbers in pixels; leave out camera=")
    return torch.tensor(flat, dtype=torch.float32)


def _kind(cell: Any) -> str:
    array = np.asarray(cell) if isinstance(cell, list | tuple | np.ndarray) else None
    if array is not None:
        return f"{array.dtype} of shape {'x'.join(map(str, array.shape))}"
    return "nothing" if cell is None else type(cell).__name__
