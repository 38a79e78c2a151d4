"""Depth maps as they are on disk: of any number type, with what in them is no measurement."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from kdcli.errors import DataError
from kdcli.images.opening import opened
from kdcli.images.pictures import GREY_16
from kdcli.images.upright import loaded_upright
from kdcli.rasters import Tiff, array_type, graymap_bits, must_exist, read_array, read_pgm
from kdcli.rasters.significant import significant_bits, unspread
from kdcli.rasters.tiffs import floating

DEPTH_SUFFIXES = frozenset({".png", ".pgm", ".npy", ".npz", ".tif", ".tiff"})
"""Endings of files that are taken for depth maps, lower case."""

NO_VALUE = 65535
"""Stored number that depth cameras write where they measured nothing, beside 0."""

FURTHEST = 1e5
"""Metres from which on a number is no measurement but a mark for none, such as 1e10 or the largest of its type."""

SCALES = (1e-6, 1e12)
"""Least and most units per metre that a scale can name; beyond them no depth is a number that float32 holds."""

UNITS_NOTE = "depth_units_per_metre"
"""Text chunk of a PNG that names its unit; ``write_depth_png`` writes it."""

_LARGEST_HALF = 65504.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The type of the numbers of a depth map.

    bits: 8, 16, 32 or 64 for whole numbers, 0 for floats. scale: units per metre that the file itself names, None
    where it does not.
    """

    bits: int
    scale: float | None = None

    def units(self, asked: float | None) -> float:
        """Return stored units per metre: those asked for, else the file's, else by type: millimetres or metres."""
        if asked is not None:
            return asked
        return self.scale if self.scale is not None else 1000.0 if self.bits else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDepth(Form):
    """A depth map as it is on disk, before any scale.

    values: H x W float32, 0 where not valid. valid: H x W bool. swapped: whether a 16-bit PGM had its bytes in the
    wrong order. turned: the orientation that the file's own metadata names and that it was turned by.
    """

    values: Tensor
    valid: Tensor
    swapped: bool = False
    turned: int = 1

    def metres(self, scale: float | None = None) -> tuple[Tensor, Tensor]:
        """Return depth in metres and where it is valid, 1 x H x W float32 and bool; scale: as of ``read_depth``."""
        units = self.units(scale)
        # NumPy, not torch: several readers at once must not each start a team of threads.
        depth, valid = self.values.numpy() / np.float32(units), self.valid.numpy()
        if self.bits not in (8, 16) or units < 1:
            near = depth < FURTHEST
            depth, valid = depth * near, valid & near
        return torch.from_numpy(depth)[None], torch.from_numpy(valid)[None]


def read_stored(path: Path) -> StoredDepth:
    """Read a depth map without applying a scale: PNG, PGM, TIFF, NPY, NPZ of whole numbers or floats of any width.

    Not valid are 0, negative numbers, infinities and not-a-number, the largest number of a type of 16 bits or more, and
    65535 in any of them. An NPZ holds its map as ``depth`` or as its only array, and may hold a mask as ``valid``,
    ``mask`` or another of ``kdcli.rasters.arrays.MASKS``. A map is turned as its own metadata says.

    Raises:
        DataError: missing, broken, a Git LFS pointer, too large, or not one number per pixel.
    """
    must_exist(path)
    suffix, mask, swapped, turned, scale = path.suffix.lower(), None, False, 1, None
    if suffix in (".npy", ".npz"):
        array, mask = read_array(path)
    elif suffix in (".pgm", ".pnm"):
        array, swapped = read_pgm(path)
    else:
        with opened(path) as image:
            _check_mode(path, image)
            scale = _named_scale(path, image)
            upright, turned = loaded_upright(image)
            array = unspread(_numbers(upright), significant_bits(path) if image.format == "PNG" else None)
    with np.errstate(over="ignore"):  # a number beyond float32 becomes infinite and so not valid
        values = np.array(array, dtype=np.float32, order="C")
    valid = _measured(array, values)
    if mask is not None:
        if valid.any() and mask.any() and not (valid & mask).any():
            raise DataError(f"'{path}' has a mask that is set only where the depth has no value; store the pixels that "
                            "have one as 'valid'")
        valid &= mask
    values[~valid] = 0
    return StoredDepth(
        values=torch.from_numpy(values), valid=torch.from_numpy(valid), bits=_bits(array.dtype), scale=scale,
        swapped=swapped, turned=turned,
    )  # fmt: skip


def read_depth(path: Path, *, scale: float | None = None) -> tuple[Tensor, Tensor]:
    """Read a depth map as metres and where they are valid, 1 x H x W float32 and bool.

    scale: stored units per metre; by default what the file itself names (kdcli's own do), else 1000 for whole numbers
    (millimetres) and 1 for floats (metres). From ``FURTHEST`` on a number is no measurement.

    Raises:
        DataError: as ``read_stored``.
    """
    return read_stored(path).metres(scale)


def depth_form(path: Path) -> Form:
    """Return the type of the numbers of a depth map from its header, without decoding it.

    Raises:
        DataError: as ``read_stored``, as far as the header tells.
    """
    must_exist(path)
    suffix = path.suffix.lower()
    if suffix in (".npy", ".npz"):
        return Form(bits=_bits(array_type(path)))
    if suffix in (".pgm", ".pnm"):
        return Form(bits=graymap_bits(path))
    with opened(path) as image:
        _check_mode(path, image)
        if isinstance(image, Tiff) and image.stored is not None:
            return Form(bits=_bits(image.stored))
        bits = 0 if floating(image) else 8 if image.mode == "L" else 16
        return Form(bits=bits, scale=_named_scale(path, image))


def _check_mode(path: Path, image: Image.Image) -> None:
    if image.mode not in ("L", "F", *GREY_16):
        raise DataError(
            f"'{path}' is a picture of mode {image.mode}, not a depth map with one number per pixel; "
            "give the raw depth file"
        )


def _numbers(image: Image.Image) -> NDArray[Any]:
    if isinstance(image, Tiff):
        return image.numbers()
    array = np.array(image)
    if image.mode == "I" and array.max(initial=0) <= NO_VALUE:
        return array.clip(min=0).astype(np.uint16)
    # In the byte order of this machine, whatever the file's was.
    return array.astype(np.uint16) if image.mode in GREY_16 and image.mode != "I" else array


def _measured(array: NDArray[Any], values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return where an array, and its numbers as float32, hold what can be a measurement, H x W."""
    valid: NDArray[np.bool_] = (values > 0) & np.isfinite(values)
    if array.dtype.kind == "f":
        valid &= (values != NO_VALUE) & (values != _LARGEST_HALF)
    elif array.dtype.itemsize > 1:
        valid &= array != NO_VALUE
        if (most := np.iinfo(array.dtype).max) != NO_VALUE:
            valid &= array != most
    return valid


def _bits(kind: np.dtype[Any]) -> int:
    return 8 * kind.itemsize if kind.kind in "iu" else 0


def _named_scale(path: Path, image: Image.Image) -> float | None:
    """Return the units per metre that a PNG names in a text chunk."""
    text = image.info.get(UNITS_NOTE)
    if text is None:
        return None
    try:
        scale = float(text)
    except (TypeError, ValueError):
        scale = math.nan
    if not SCALES[0] <= scale <= SCALES[1]:
        raise DataError(f"'{path}' says '{str(text)[:40]}' units per metre; write it again or give scale=")
    return scale

