"""Images and depth maps on disk: read with guards, written whole.

Images become 3 x H x W float32 RGB in 0..1, depth maps H x W float32 with a mask. Every failure is one ``DataError``
line that names the file and what to do about it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError
from torch import Tensor

from kdcli.errors import ConfigError, DataError
from kdcli.files import atomic
from kdcli.rasters import must_exist, read_array, read_pgm, too_large, within_limit

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".tif", ".tiff"})
"""Endings of files that are taken for photographs, lower case."""

DEPTH_SUFFIXES = frozenset({".png", ".pgm", ".npy", ".npz", ".tif", ".tiff"})
"""Endings of files that are taken for depth maps, lower case."""

NO_VALUE = 65535
"""Stored 16-bit number that depth cameras write where they measured nothing, beside 0."""

_GREY_16 = ("I;16", "I;16B", "I;16L", "I")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDepth:
    """A depth map as it is on disk, before any scale.

    values: H x W float32, 0 where not valid. valid: H x W bool. bits: 8, 16 or 32 for whole numbers, 0 for floats.
    swapped: whether a 16-bit PGM had its bytes in the wrong order.
    """

    values: Tensor
    valid: Tensor
    bits: int
    swapped: bool = False


def image_size(path: Path) -> tuple[int, int]:
    """Return (height, width) of a photograph from its header, as ``read_image`` would give it.

    Raises:
        DataError: missing, not an image, a Git LFS pointer, or more pixels than ``rasters.PIXEL_LIMIT``.
    """
    with opened(path) as image:
        width, height = image.size
        # Pillow decodes a whole PNG to see if EXIF follows the pixels, where hardly anybody writes it.
        known = image.format != "PNG" or "exif" in image.info
        # 5..8 of EXIF tag 0x0112 are the orientations that lie on their side.
        return (width, height) if known and image.getexif().get(0x0112, 1) >= 5 else (height, width)


def read_image(path: Path) -> Tensor:
    """Read a photograph as 3 x H x W float32 RGB in 0..1, turned upright as its EXIF tag says.

    Raises:
        DataError: missing, truncated, not an image, a Git LFS pointer, or more pixels than ``rasters.PIXEL_LIMIT``.
    """
    with opened(path) as image:
        if image.mode == "F":
            raise DataError(f"'{path}' holds floating-point numbers, not a picture; convert it to an 8-bit PNG")
        upright = ImageOps.exif_transpose(image)
        if upright.mode in _GREY_16:  # Pillow would clip these to 255 instead of scaling them
            grey = (np.asarray(upright).astype(np.float32) / 65535).clip(0, 1)
            return torch.from_numpy(np.stack([grey, grey, grey]))
        pixels_HW3 = np.asarray(upright.convert("RGB"))
    # NumPy, not torch: several readers at once must not each start a team of threads.
    image_3HW = np.empty((3, *pixels_HW3.shape[:2]), np.float32)
    np.divide(pixels_HW3.transpose(2, 0, 1), np.float32(255), out=image_3HW)
    return torch.from_numpy(image_3HW)


def read_stored(path: Path) -> StoredDepth:
    """Read a depth map without applying a scale: 8- or 16-bit PNG, PGM, TIFF, NPY, NPZ.

    Not valid are 0, negative numbers, infinities, not-a-number, and 65535 in files of 16 bits. An NPZ holds its map
    as ``depth`` or as its only array, and may hold a mask as ``valid``.

    Raises:
        DataError: missing, broken, a Git LFS pointer, too large, or not one number per pixel.
    """
    must_exist(path)
    suffix, mask, swapped = path.suffix.lower(), None, False
    if suffix in (".npy", ".npz"):
        array, mask = read_array(path)
    elif suffix in (".pgm", ".pnm"):
        array, swapped = read_pgm(path)
    else:
        with opened(path) as image:
            if image.mode not in ("L", "F", *_GREY_16):
                raise DataError(
                    f"'{path}' is a picture of mode {image.mode}, not a depth map with one number per pixel; "
                    "give the raw depth file"
                )
            bits = 8 if image.mode == "L" else 16
            array = np.array(image)
            if image.mode == "I" and array.max(initial=0) <= NO_VALUE:
                array = array.clip(min=0).astype(np.uint16)
            elif bits == 16 and image.mode != "I":
                array = array.astype(np.uint16)  # in the byte order of this machine, whatever the file's was
    bits = 8 * array.dtype.itemsize if array.dtype.kind in "iu" else 0
    with np.errstate(over="ignore"):  # a number beyond float32 becomes infinite and so not valid
        values = np.array(array, dtype=np.float32, order="C")
    valid = np.isfinite(values) & (values > 0)
    if bits == 16:
        valid &= values != NO_VALUE
    if mask is not None:
        valid &= mask.astype(bool)
    values[~valid] = 0
    return StoredDepth(values=torch.from_numpy(values), valid=torch.from_numpy(valid), bits=bits, swapped=swapped)


def read_depth(path: Path, *, scale: float | None = None) -> tuple[Tensor, Tensor]:
    """Read a depth map as metres and where they are valid, 1 x H x W float32 and bool.

    scale: stored units per metre; by default 1000 for whole numbers (millimetres) and 1 for floats (metres).

    Raises:
        DataError: as ``read_stored``.
    """
    stored = read_stored(path)
    units = scale if scale is not None else 1000.0 if stored.bits else 1.0
    return torch.from_numpy(stored.values.numpy() / np.float32(units))[None], stored.valid[None]


def write_image(path: Path, image: Tensor) -> None:
    """Write a 3 x H x W picture in 0..1 in the format of the path's ending, atomically.

    Raises:
        ConfigError: an ending that is no picture format.
    """
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise ConfigError(f"'{path}' does not end like a picture; write for example {path.stem or 'picture'}.png")
    pixels = image.detach().clamp(0, 1).mul(255).round().to("cpu", torch.uint8).permute(1, 2, 0).contiguous()
    with atomic(path) as temporary:
        Image.fromarray(pixels.numpy()).save(temporary)


def write_depth_png(path: Path, depth: Tensor, *, scale: float = 1000.0, valid: Tensor | None = None) -> None:
    """Write depth as a 16-bit PNG, atomically: metres times ``scale``, 0 where not valid.

    depth, valid: any shape with one map, such as H x W or 1 x H x W. The scale stands in the file's text chunk.

    Raises:
        DataError: a depth that does not fit 16 bits at this scale.
    """
    grid = depth.detach().to("cpu", torch.float64).reshape(depth.shape[-2:])
    known = torch.isfinite(grid) & (grid > 0)
    if valid is not None:
        known &= valid.detach().to("cpu").reshape(grid.shape)
    units = grid.where(known, grid.new_zeros(())).mul(scale).round()
    if units.max() >= NO_VALUE:
        raise DataError(
            f"depth of {grid[known].max():.4g} m does not fit 16 bits at {scale:g} units per metre in '{path}'; "
            "use a smaller scale (256 as KITTI does) or .npy"
        )
    units = units.clamp(min=1).where(known, units.new_zeros(()))  # a valid pixel must not turn into a hole
    notes = PngImagePlugin.PngInfo()
    notes.add_text("depth_units_per_metre", f"{scale:g}")
    with atomic(path) as temporary:
        Image.fromarray(units.numpy().astype(np.uint16)).save(temporary, pnginfo=notes)


def write_depth_npy(path: Path, depth: Tensor) -> None:
    """Write depth as a float32 H x W array, atomically; depth has any shape with one map."""
    grid = depth.detach().to("cpu", torch.float32).reshape(depth.shape[-2:])
    with atomic(path) as temporary, temporary.open("wb") as stream:
        np.save(stream, grid.numpy(), allow_pickle=False)


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """Open a picture; whatever decoding it raises inside the block becomes a ``DataError``."""
    must_exist(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below is ours
            image = Image.open(path)
        with image:
            within_limit(path, image.width * image.height)
            yield image
    except DataError:
        raise
    except Image.DecompressionBombError:
        raise DataError(too_large(path, "far more")) from None
    except UnidentifiedImageError:
        raise DataError(f"'{path}' is not an image in a known format; re-download it or leave it out") from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:  # Pillow says "broken file" in all of these
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"'{path}' is truncated or broken ({reason[:100]}); re-download it or leave it out") from None
