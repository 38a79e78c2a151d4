"""What single cells of a table hold: a photograph, a map of depth, ids of objects, a camera."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kdcli.cameras import turn_camera
from kdcli.errors import DataError
from kdcli_huggingface.pictures import like, opened

FURTHEST = 1e5
"""Metres from which on a number is a mark for none."""

SCALES = (1e-6, 1e12)
"""Units per metre that can be."""

_NO_VALUE = 65535
_UNITS_NOTE = "depth_units_per_metre"
"""Text chunk in which a PNG of kdcli's names its unit."""
_MAPS = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
"""Modes of pictures that hold one number of more than 8 bits a pixel."""


def photograph(cell: Any, where: str) -> tuple[Tensor, int]:
    """Return a photograph, upright, as 3 x H x W float32 in 0..1, and the orientation that it was stored in.

    Raises:
        DataError: no picture, or one of numbers.
    """
    found = opened(cell, where)
    if found is None:
        raise DataError(f"{where} holds {_kind(cell)}, not a picture; name the column of images with image=")
    if found.picture.mode in _MAPS:
        raise DataError(
            f"{where} is a map of mode {found.picture.mode}, no photograph; name the column of images with image="
        )
    pixels = np.array(found.picture.convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1).to(torch.float32).div_(255), found.turned


def metres(
    cell: Any, scale: float | None, where: str, turned: int = 1, size: tuple[int, int] = (0, 0)
) -> tuple[Tensor, Tensor]:
    """Return depth in metres and where it is valid, 1 x h x w float32 and bool.

    scale: stored units per metre; by default what a PNG names itself, else 1000 in whole numbers and 1 in floats.
    turned, size: of the photograph: the orientation that it was stored in, and its height and width upright.

    Raises:
        DataError: a picture of depth, or no map of numbers.
    """
    array, own, notes = numbers(cell, where)
    if scale is None and {"near", "far"} <= notes.keys():
        raise DataError(f"{where} is a logarithmic map between 'near' and 'far', as MoGe writes them, which is not "
                        "read from tables; give its folders to moge:")
    named = notes.get(_UNITS_NOTE)
    units = scale if scale is not None else 1.0 if array.dtype.kind == "f" else 1000.0
    if scale is None and named is not None:
        units = _units(named, where)
    array = array if own != 1 else like(array, turned, size)
    with np.errstate(over="ignore", invalid="ignore"):
        depth = array.astype(np.float32) / np.float32(units)
        valid = np.isfinite(depth) & (depth > 0) & (depth < FURTHEST) & (array != _NO_VALUE)
    return torch.from_numpy(np.where(valid, depth, np.float32(0)))[None], torch.from_numpy(valid)[None]


def numbers(cell: Any, where: str) -> tuple[NDArray[Any], int, dict[Any, Any]]:
    """Return the numbers of a map, h x w, as they are stored, its own orientation and its text chunks.

    Raises:
        DataError: as ``metres``.
    """
    found = opened(cell, where)
    if found is not None:
        if found.picture.mode not in _MAPS:
            raise DataError(
                f"{where} is a picture of mode {found.picture.mode}, that is a picture of depth and not depth; name "
                "the column that holds numbers with depth="
            )
        return np.asarray(found.picture), found.turned, found.notes
    array = np.asarray(cell)
    flat = array.reshape([n for n in array.shape if n != 1]) if array.ndim > 2 else array
    if flat.ndim != 2 or flat.dtype.kind not in "iuf":
        raise DataError(f"{where} holds {_kind(cell)}, not a map of numbers; name the column of depth with depth=")
    return flat, 1, {}


def object_ids(cell: Any, where: str, turned: int = 1, size: tuple[int, int] = (0, 0)) -> Tensor:
    """Return object ids as h x w int64; turned, size: as of ``metres``.

    Raises:
        DataError: no whole numbers, one a pixel.
    """
    found = opened(cell, where)
    array = np.asarray(cell if found is None else found.picture)
    if array.ndim != 2 or array.dtype.kind not in "iub" or (found is not None and found.picture.mode in ("F", "1")):
        what = _kind(cell) if found is None else f"a picture of mode {found.picture.mode}"
        raise DataError(f"{where} holds {what}, not object ids; name their column with instances=")
    array = like(array, turned, size) if found is None or found.turned == 1 else array
    return torch.from_numpy(array.astype(np.int64))


def camera(cell: Any, where: str, turned: int = 1, size: tuple[int, int] = (0, 0)) -> Tensor:
    """Return fx, fy, cx, cy of a cell with 3 x 3, 9 or 4 numbers, in pixels; turned, size: as of ``metres``.

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
    stored = size[::-1] if turned >= 5 else size
    return torch.tensor(turn_camera((flat[0], flat[1], flat[2], flat[3]), turned, stored), dtype=torch.float32)


def _units(text: object, where: str) -> float:
    try:
        units = float(str(text))
    except ValueError:
        units = math.nan
    if not SCALES[0] <= units <= SCALES[1]:
        raise DataError(f"{where} says '{str(text)[:40]}' units per metre; save it again or give scale=")
    return units


def _kind(cell: Any) -> str:
    array = np.asarray(cell) if isinstance(cell, list | tuple | np.ndarray) else None
    if array is not None:
        return f"{array.dtype} of shape {'x'.join(map(str, array.shape))}"
    return "nothing" if cell is None else type(cell).__name__
