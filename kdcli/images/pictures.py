"""Photographs: read upright as RGB, written in the format of their ending."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from kdcli.errors import ConfigError, DataError
from kdcli.files import atomic
from kdcli.images.opening import opened
from kdcli.images.upright import loaded_upright, orientation
from kdcli.rasters import Element, Place, ending_of, must_exist
from kdcli.rasters.arrays import read_pixels
from kdcli.rasters.elements import read_element
from kdcli.rasters.tiffs import floating

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".tif", ".tiff"})
"""Endings of files that are taken for photographs, lower case."""

GREY_16 = ("I;16", "I;16B", "I;16L", "I")
"""Pillow's modes of whole numbers beyond 8 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A photograph. image: 3 x H x W float32 RGB in 0..1, upright. turned: the orientation that it was stored in.

    whole: height and width that it has upright where it was read smaller than that; None: it was not.
    """

    image: Tensor
    turned: int = 1
    whole: tuple[int, int] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of all of it, upright."""
        return self.whole or (int(self.image.shape[-2]), int(self.image.shape[-1]))

    @property
    def stored_size(self) -> tuple[int, int]:
        """Height and width of the pixels in the file."""
        height, width = self.size
        return (width, height) if self.turned >= 5 else (height, width)


def image_size(path: Place) -> tuple[int, int]:
    """Return (height, width) of a photograph from its header, as ``read_image`` would give it.

    Raises:
        DataError: missing, not an image, a Git LFS pointer, or more pixels than ``kdcli.rasters.pixel_limit``.
    """
    if is_array(path):
        height, width = read_picture(path).image.shape[-2:]
        return int(height), int(width)
    with opened(path) as image:
        width, height = image.size
        # A TIFF opens with the size that it will have upright.
        on_side = image.format != "TIFF" and _header_orientation(image) >= 5
        return (width, height) if on_side else (height, width)


def turned_by(path: Place) -> int:
    """Return the orientation that a photograph's metadata names, from its header.

    Raises:
        DataError: as ``image_size``.
    """
    if is_array(path):
        return 1
    with opened(path) as image:
        return _header_orientation(image)


def _header_orientation(image: Image.Image) -> int:
    # Pillow decodes a whole PNG to see if EXIF follows the pixels, where hardly anybody writes it.
    known = image.format != "PNG" or "exif" in image.info or "xmp" in image.info
    return orientation(image) if known else 1


def read_image(path: Place) -> Tensor:
    """Read a photograph as 3 x H x W float32 RGB in 0..1, turned upright as its EXIF tag says.

    Raises:
        DataError: missing, truncated, not an image, a Git LFS pointer, or more pixels than
            ``kdcli.rasters.pixel_limit``.
    """
    return read_picture(path).image


def read_picture(path: Place) -> Picture:
    """Read a photograph as ``read_image`` does, and say how its metadata turned it.

    Raises:
        DataError: as ``read_image``.
    """
    if is_array(path):
        return Picture(image=torch.from_numpy(_of_array(path)))
    with opened(path) as image:
        if floating(image):
            raise DataError(f"'{path}' holds floating-point numbers, not a picture; convert it to an 8-bit PNG")
        upright, turned = loaded_upright(image)
        if upright.mode in GREY_16:  # Pillow would clip these to 255 instead of scaling them
            grey = (np.asarray(upright).astype(np.float32) / 65535).clip(0, 1)
            return Picture(image=torch.from_numpy(np.stack([grey, grey, grey])), turned=turned)
        pixels_HW3 = np.asarray(coloured(upright, path))
    return Picture(image=torch.from_numpy(shares(pixels_HW3)), turned=turned)


def coloured(image: Image.Image, path: Place) -> Image.Image:
    """Return a picture as RGB.

    Raises:
        DataError: it cannot be.
    """
    try:
        return image.convert("RGB")
    except ValueError:
        raise DataError(f"'{path}' has colours of mode {image.mode}; convert it to RGB") from None


def shares(pixels_HW3: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return 8-bit pixels as 3 x H x W in 0..1."""
    # NumPy, not torch: several readers at once must not each start a team of threads.
    image_3HW = np.empty((3, *pixels_HW3.shape[:2]), np.float32)
    np.divide(pixels_HW3.transpose(2, 0, 1), np.float32(255), out=image_3HW)
    return image_3HW


def is_array(place: Place) -> bool:
    """Whether pixels are numbers of an array: in a file of arrays, or in an NPY file that somebody points at."""
    return isinstance(place, Element) or ending_of(place) == ".npy"


def _of_array(place: Place) -> NDArray[np.float32]:
    """Return an array of 8-bit colours, channels first or last, or of floats in 0..1, as 3 x H x W in 0..1."""
    must_exist(place)
    array: NDArray[Any] = read_element(place) if isinstance(place, Element) else read_pixels(place)
    if array.ndim == 3 and array.shape[0] == 3 and array.shape[-1] != 3:
        array = array.transpose(1, 2, 0)
    if array.ndim != 3 or array.shape[-1] != 3 or array.dtype.kind not in "uf":
        shape = "x".join(map(str, array.shape)) or "()"
        raise DataError(f"'{place}' holds {array.dtype} of shape {shape}, not a picture; check the layout")
    if array.dtype == np.uint8:
        return shares(array)
    most = 1.0 if array.dtype.kind == "f" else float(np.iinfo(array.dtype).max)
    return np.ascontiguousarray((array.astype(np.float32) / np.float32(most)).clip(0, 1).transpose(2, 0, 1))


def write_image(path: Path, image: Tensor) -> None:
    """Write a 3 x H x W picture in 0..1 in the format of the path's ending, atomically.

    Raises:
        ConfigError: an ending that is no picture format.
    """
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise ConfigError(f"'{path}' does not end like a picture; write for example {path.stem or 'picture'}.png")
    with atomic(path) as temporary:
        _of_tensor(image).save(temporary)


def picture_bytes(image: Tensor, form: Literal["jpg", "png"], quality: int = 95) -> bytes:
    """Return a 3 x H x W picture in 0..1 as JPEG with all of its colours' pixels, or as PNG.

    quality: of JPEG, 1..100.
    """
    stream = io.BytesIO()
    if form == "jpg":
        _of_tensor(image).save(stream, "JPEG", quality=quality, subsampling=0)
    else:
        _of_tensor(image).save(stream, "PNG", compress_level=3)
    return stream.getvalue()


def _of_tensor(image: Tensor) -> Image.Image:
    pixels = image.detach().clamp(0, 1).mul(255).round().to("cpu", torch.uint8).permute(1, 2, 0).contiguous()
    return Image.fromarray(pixels.numpy())
