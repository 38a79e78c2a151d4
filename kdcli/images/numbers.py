"""The numbers of a depth file as they are stored, whatever container they are in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kdcli.codecs import Codec
from kdcli.errors import DataError
from kdcli.images.opening import opened
from kdcli.images.pictures import GREY_16
from kdcli.images.upright import loaded_upright
from kdcli.rasters import Element, Place, Tiff, array_type, ending_of, graymap_bits, read_array, read_pgm
from kdcli.rasters.elements import read_element
from kdcli.rasters.floatmaps import read_dpt, read_headerless, read_pfm
from kdcli.rasters.openexr import read_exr
from kdcli.rasters.significant import significant_bits, unspread
from kdcli.rasters.tiffs import floating

NO_VALUE = 65535
"""Stored number that depth cameras write where they measured nothing, beside 0."""

SCALES = (1e-6, 1e12)
"""Least and most units per metre that a scale can name; beyond them no depth is a number that float32 holds."""

UNITS_NOTE = "depth_units_per_metre"
"""Text chunk of a PNG that names its unit; ``write_depth_png`` writes it."""

_NOTES = ("near", "far", "unit")
"""Text chunks that MoGe's logarithmic PNGs have."""
_OPENCV = [2, 1, 0, 3]
"""Channels of Pillow in the order of OpenCV, which TartanAir's files are written and read with."""
_HDF5 = (".h5", ".hdf5", ".mat")
_FLOATS = (".pfm", ".dpt", ".exr")


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """What a depth file holds.

    array: H x W in the type that it is stored in. mask: where the file says that it holds measurements, None where it
    does not say. scale: units per metre that it names. swapped: whether a 16-bit PGM had its bytes in the wrong order.
    turned: the orientation that its metadata names and that it was turned by. notes: numbers of text chunks by name.
    """

    array: NDArray[Any]
    mask: NDArray[np.bool_] | None = None
    scale: float | None = None
    swapped: bool = False
    turned: int = 1
    notes: Mapping[str, float] = field(default_factory=dict)


def load_numbers(place: Place, codec: Codec, size: tuple[int, int] | None) -> Numbers:
    """Read the numbers of a depth file.

    size: height and width of the image that it belongs to, which files without a header are read by.

    Raises:
        DataError: broken, too large, or not one number per pixel.
    """
    suffix = ending_of(place)
    if codec.headerless:
        if size is None:
            raise DataError(f"'{place}' has no header, and nothing tells its size; give it beside its image")
        return Numbers(array=read_headerless(place, size))
    if isinstance(place, Element):
        return Numbers(array=_one_map(place, read_element(place), codec.channel))
    if suffix in _HDF5:
        # What MATLAB calls rows come last in a file of its newer version, and in either with this.
        matlab = suffix == ".mat"
        whole = read_element(Element(_file(place), codec.key or "depth", transposed=matlab))
        if matlab and codec.channel is not None and whole.ndim == 3:
            whole = np.moveaxis(whole, 0, -1)
        return Numbers(array=_one_map(place, whole, codec.channel))
    if suffix in (".npy", ".npz"):
        array, mask = read_array(place, codec.key if suffix == ".npz" else None)
        return Numbers(array=array, mask=mask)
    if suffix in _FLOATS:
        if suffix == ".exr":
            return Numbers(array=read_exr(place, codec.key))
        return Numbers(array=read_pfm(place) if suffix == ".pfm" else read_dpt(place))
    if suffix in (".pgm", ".pnm"):
        array, swapped = read_pgm(place)
        return Numbers(array=array, swapped=swapped)
    with opened(place) as image:
        if codec.packed:
            return Numbers(array=_unpacked(place, image))
        check_mode(place, image)
        notes = {name: _number(image.info[name]) for name in _NOTES if name in image.info}
        scale = named_scale(place, image)
        upright, turned = loaded_upright(image)
        bits = significant_bits(place) if image.format == "PNG" else None
        return Numbers(array=unspread(_pixels(upright), bits), scale=scale, turned=turned, notes=notes)


def stored_type(place: Place, codec: Codec) -> tuple[int, float | None]:
    """Return the bits of a depth file's whole numbers, 0 for floats, and the scale that it names, from its header.

    Raises:
        DataError: as ``load_numbers``, as far as the header tells.
    """
    suffix = ending_of(place)
    if codec.headerless or codec.packed or suffix in _FLOATS:
        return 0, None
    if isinstance(place, Element) or suffix in _HDF5:
        return bits_of(load_numbers(place, codec, None).array.dtype), None
    if suffix in (".npy", ".npz"):
        return bits_of(array_type(place, codec.key if suffix == ".npz" else None)), None
    if suffix in (".pgm", ".pnm"):
        return graymap_bits(place), None
    with opened(place) as image:
        check_mode(place, image)
        if isinstance(image, Tiff) and image.stored is not None:
            return bits_of(image.stored), None
        bits = 0 if floating(image) else 8 if image.mode == "L" else 16
        return bits, named_scale(place, image)


def bits_of(kind: np.dtype[Any]) -> int:
    """Return the bits of a type of whole numbers, 0 for floats."""
    return 8 * kind.itemsize if kind.kind in "iu" else 0


def check_mode(place: Place, image: Image.Image) -> None:
    """Refuse a picture that has more than one number per pixel.

    Raises:
        DataError: it has.
    """
    if image.mode not in ("L", "F", *GREY_16):
        raise DataError(
            f"'{place}' is a picture of mode {image.mode}, not a depth map with one number per pixel; "
            "give the raw depth file"
        )


def named_scale(place: Place, image: Image.Image) -> float | None:
    """Return the units per metre that a PNG names in a text chunk.

    Raises:
        DataError: what it names is no scale.
    """
    text = image.info.get(UNITS_NOTE)
    if text is None:
        return None
    scale = _number(text)
    if not SCALES[0] <= scale <= SCALES[1]:
        raise DataError(f"'{place}' says '{str(text)[:40]}' units per metre; write it again or give scale=")
    return scale


def _number(text: object) -> float:
    try:
        return float(text)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return math.nan


def _file(place: Place) -> Any:
    if not hasattr(place, "exists"):
        raise DataError(f"'{place}' is a file of arrays inside an archive, which is not read; unpack it")
    return place


def _one_map(place: Place, array: NDArray[Any], channel: int | None) -> NDArray[Any]:
    if channel is not None and array.ndim == 3 and channel < array.shape[-1]:
        array = array[..., channel]
    flat = array.reshape([n for n in array.shape if n != 1]) if array.ndim > 2 else array
    if flat.ndim != 2 or flat.dtype.kind not in "iuf":
        shape = "x".join(map(str, array.shape)) or "()"
        raise DataError(f"'{place}' holds {array.dtype} of shape {shape}, not one map of numbers; check the layout")
    return flat


def _unpacked(place: Place, image: Image.Image) -> NDArray[Any]:
    """Return the floats whose bytes are the channels of a picture: blue, green, red, alpha, as OpenCV has them."""
    if image.mode != "RGBA":
        raise DataError(f"'{place}' is a picture of mode {image.mode}, and depth packed as bytes has four channels; "
                        "give the raw depth file")
    image.load()
    return np.ascontiguousarray(np.asarray(image)[..., _OPENCV]).view("<f4")[..., 0]


def _pixels(image: Image.Image) -> NDArray[Any]:
    if isinstance(image, Tiff):
        return image.numbers()
    array = np.array(image)
    if image.mode == "I" and array.max(initial=0) <= NO_VALUE:
        return array.clip(min=0).astype(np.uint16)
    # In the byte order of this machine, whatever the file's was.
    return array.astype(np.uint16) if image.mode in GREY_16 and image.mode != "I" else array
