"""Depth maps as they are on disk: of any number type, with what in them is no measurement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kdcli.codecs import BY_TYPE, Codec
from kdcli.errors import DataError
from kdcli.images.numbers import NO_VALUE, SCALES, UNITS_NOTE, Numbers, bits_of, load_numbers, stored_type
from kdcli.rasters import Place, must_exist

__all__ = [
    "DEPTH_SUFFIXES", "FURTHEST", "NO_VALUE", "SCALES", "UNITS_NOTE", "Form", "StoredDepth", "depth_form", "read_depth",
    "read_stored",
]

DEPTH_SUFFIXES = frozenset({".png", ".pgm", ".npy", ".npz", ".tif", ".tiff", ".pfm", ".exr", ".dpt"})
"""Endings of files that are taken for depth maps wherever they lie, lower case; files of many arrays are not."""

FURTHEST = 1e5
"""Metres from which on a number is no measurement but a mark for none, such as 1e10 or the largest of its type."""

Keep = Literal["measured", "floats", "all"]
"""Which numbers of a file are taken: what can be a measurement, or whatever is finite in floats, or in all files."""

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

    values: H x W float32, 0 where not valid. valid: H x W bool. sky: H x W bool where the encoding marks sky, which is
    not valid. swapped: whether a 16-bit PGM had its bytes in the wrong order. turned: the orientation that the file's
    own metadata names and that it was turned by. notes: numbers that it has in text chunks.
    """

    values: Tensor
    valid: Tensor
    sky: Tensor | None = None
    swapped: bool = False
    turned: int = 1
    notes: Mapping[str, float] = field(default_factory=dict)

    def metres(self, scale: float | None = None) -> tuple[Tensor, Tensor]:
        """Return depth in metres and where it is valid, 1 x H x W float32 and bool; scale: as of ``read_depth``."""
        units = self.units(scale)
        # NumPy, not torch: several readers at once must not each start a team of threads.
        depth, valid = self.values.numpy() / np.float32(units), self.valid.numpy()
        if self.bits not in (8, 16) or units < 1:
            near = depth < FURTHEST
            depth, valid = depth * near, valid & near
        return torch.from_numpy(depth)[None], torch.from_numpy(valid)[None]


def read_stored(
    path: Place, codec: Codec = BY_TYPE, *, size: tuple[int, int] | None = None, keep: Keep = "measured"
) -> StoredDepth:
    """Read a depth map without applying a scale: whole numbers or floats of any width, in a file of
    ``DEPTH_SUFFIXES``, HDF5 or MATLAB.

    Not valid are 0, negative numbers, infinities and not-a-number, the largest number of a type of 16 bits or more,
    65535 in any of them, and what the encoding says besides. An NPZ holds its map as ``depth`` or as its only array,
    and may hold a mask as ``valid``, ``mask`` or another of ``kdcli.rasters.arrays.MASKS``. A map is turned as its own
    metadata says. size: height and width of its image, for files without a header. keep: ``all``: 0, negative and the
    largest numbers are valid like any other, as in depth and disparity of unknown offset; ``floats``: in floats.

    Raises:
        DataError: missing, broken, a Git LFS pointer, too large, or not one number per pixel.
    """
    must_exist(path)
    found = load_numbers(path, codec, size)
    array = _restored(path, found, codec)
    with np.errstate(over="ignore"):  # a number beyond float32 becomes infinite and so not valid
        values = np.array(array, dtype=np.float32, order="C")
    loose = keep == "all" or (keep == "floats" and array.dtype.kind == "f")
    valid = np.isfinite(values) if loose else _measured(array, values, codec)
    sky = None if codec.sky is None else array == codec.sky
    if sky is not None:
        valid &= ~sky
    if found.mask is not None:
        if valid.any() and found.mask.any() and not (valid & found.mask).any():
            raise DataError(f"'{path}' has a mask that is set only where the depth has no value; store the pixels that "
                            "have one as 'valid'")
        valid &= found.mask
    values[~valid] = 0
    return StoredDepth(
        values=torch.from_numpy(values), valid=torch.from_numpy(valid), bits=bits_of(array.dtype), scale=found.scale,
        sky=None if sky is None else torch.from_numpy(np.ascontiguousarray(sky)), swapped=found.swapped,
        turned=found.turned, notes=found.notes,
    )  # fmt: skip


def read_depth(path: Place, *, scale: float | None = None) -> tuple[Tensor, Tensor]:
    """Read a depth map as metres and where they are valid, 1 x H x W float32 and bool.

    scale: stored units per metre; by default what the file itself names (kdcli's own do), else 1000 for whole numbers
    (millimetres) and 1 for floats (metres). From ``FURTHEST`` on a number is no measurement.

    Raises:
        DataError: as ``read_stored``.
    """
    return read_stored(path).metres(scale)


def depth_form(path: Place, codec: Codec = BY_TYPE) -> Form:
    """Return the type of the numbers of a depth map from its header, without decoding it.

    Raises:
        DataError: as ``read_stored``, as far as the header tells.
    """
    must_exist(path)
    bits, scale = stored_type(path, codec)
    return Form(bits=bits, scale=scale)


def _restored(path: Place, found: Numbers, codec: Codec) -> NDArray[Any]:
    """Return the numbers as they were before the encoding rotated, swapped or flipped them."""
    array = found.array
    if codec.rotate or (codec.swapped is not None and codec.swapped != found.swapped):
        if array.dtype.kind not in "iu" or array.dtype.itemsize != 2:
            raise DataError(f"'{path}' holds {array.dtype}, and the encoding '{codec.name}' is one of 16-bit whole "
                            "numbers; give the raw depth file or another encoding")
        array = array.view(np.uint16)
        if codec.swapped is not None and codec.swapped != found.swapped:
            array = array.byteswap()
        if codec.rotate:
            array = (array >> codec.rotate) | (array << (16 - codec.rotate))
    return array[::-1] if codec.flipped else array


def _measured(array: NDArray[Any], values: NDArray[np.float32], codec: Codec) -> NDArray[np.bool_]:
    """Return where an array, and its numbers as float32, hold what can be a measurement, H x W."""
    valid: NDArray[np.bool_] = (values > 0) & np.isfinite(values)
    if array.dtype.kind == "f":
        valid &= (values != NO_VALUE) & (values != _LARGEST_HALF)
    elif array.dtype.itemsize > 1 and codec.sky is None:
        valid &= array != NO_VALUE
        if (most := np.iinfo(array.dtype).max) != NO_VALUE:
            valid &= array != most
    for mark in codec.none:
        valid &= values != np.float32(mark)
    return valid
