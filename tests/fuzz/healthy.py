"""Small files as they should be, made in the test: what the mutations begin from."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

HEIGHT, WIDTH = 24, 32


def photo(number: int = 0) -> NDArray[np.uint8]:
    """A photograph, H x W x 3."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    return np.stack([y * 9 % 256, x * 7 % 256, (x * y + 31 * number) % 256], -1).astype(np.uint8)


def depth(number: int = 0) -> NDArray[np.float32]:
    """Metres from 1 to 5, H x W."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    return (1 + 3 * (1 - y / HEIGHT) + np.sin(x / 9 + number) ** 2).astype(np.float32)


def millimetres(number: int = 0) -> NDArray[np.uint16]:
    return (depth(number) * 1000).astype(np.uint16)


def encoded(array: NDArray[Any], form: str, **options: Any) -> bytes:
    """A picture file of an array, or of an image that was changed already."""
    stream = io.BytesIO()
    (array if isinstance(array, Image.Image) else Image.fromarray(array)).save(stream, form, **options)
    return stream.getvalue()


def pictures() -> dict[str, bytes]:
    """Photographs by ending and what is special about them."""
    exif = Image.Exif()
    exif[0x0112] = 6
    plain = Image.fromarray(photo())
    return {
        "rgb.png": encoded(photo(), "PNG"),
        "alpha.png": encoded(plain.convert("RGBA"), "PNG"),
        "palette.png": encoded(plain.quantize(16), "PNG", transparency=0),
        "wide.png": encoded(millimetres(), "PNG"),
        "bits.png": encoded(plain.convert("1"), "PNG"),
        "noted.png": encoded(plain, "PNG", exif=exif.tobytes()),
        "rgb.jpg": encoded(photo(), "JPEG"),
        "turned.jpg": encoded(photo(), "JPEG", exif=exif.tobytes()),
        "slow.jpg": encoded(photo(), "JPEG", progressive=True),
        "inks.jpg": encoded(plain.convert("CMYK"), "JPEG"),
        "rgb.tif": encoded(photo(), "TIFF"),
        "packed.tif": encoded(photo(), "TIFF", compression="tiff_lzw"),
        "turned.tif": encoded(photo(), "TIFF", exif=exif),
        "rgb.webp": encoded(photo(), "WEBP", lossless=True),
        "rgb.bmp": encoded(photo(), "BMP"),
        "rgb.ppm": encoded(photo(), "PPM"),
    }


def maps() -> dict[str, bytes]:
    """Depth maps by ending and what is special about them."""
    wide, metres = millimetres(), depth()
    found = {
        "wide.png": encoded(wide, "PNG"),
        "grey.png": encoded((metres * 20).astype(np.uint8), "PNG"),
        "floats.tif": encoded(metres, "TIFF"),
        "wide.tif": encoded(wide, "TIFF"),
        "packed.tif": encoded(metres, "TIFF", compression="tiff_adobe_deflate"),
        "wide.pgm": b"P5\n# camera\n32 24\n65535\n" + wide.astype(">u2").tobytes(),
        "grey.pgm": b"P5 32 24 255\n" + (metres * 20).astype(np.uint8).tobytes(),
        "rows.pfm": b"Pf\n32 24\n-1.0\n" + metres.tobytes(),
        "rows.exr": struct.pack("<I", 20000630) + b"\2\0\0\0channels\0chlist\0" + metres.tobytes(),
        "pair.npz": arrays(depth=metres, valid=metres > 2),
        "alone.npz": arrays(arr_0=metres),
    }
    kinds = ("f2", "f4", "f8", "u1", "u2", "u4", "i2", "i4", "i8")
    return found | {f"{kind}.npy": array((metres * (1 if kind[0] == "f" else 30)).astype(kind)) for kind in kinds}


def array(values: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values, allow_pickle=False)
    return stream.getvalue()


def arrays(**values: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **values)
    return stream.getvalue()


def pairs(folder: Path, count: int = 2) -> Path:
    """A folder for ``rgbd:`` and, with ``depths=depth``, for ``folder:``: ``rgb/N.png`` beside ``depth/N.png``."""
    for number in range(count):
        for name, values in (("rgb", photo(number)), ("depth", millimetres(number))):
            (folder / name).mkdir(parents=True, exist_ok=True)
            (folder / name / f"{number}.png").write_bytes(encoded(values, "PNG"))
    return folder
