"""Pictures as a table stores them: opened here, since ``datasets`` turns a photograph upright and nothing beside it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from kdcli.errors import DataError

_TAG = 0x0112


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A picture, upright. turned: its orientation as stored, as EXIF numbers them. notes: its text chunks."""

    picture: Image.Image
    turned: int
    notes: dict[Any, Any]


def opened(cell: Any, where: str) -> Opened | None:
    """Return the picture of a cell that was left as it is stored, or None where it holds none.

    Raises:
        DataError: it cannot be decoded.
    """
    if not isinstance(cell, dict) or not (cell.get("bytes") or cell.get("path")):
        return None
    try:
        image = Image.open(io.BytesIO(cell["bytes"]) if cell.get("bytes") else cell["path"])
        turned = image.getexif().get(_TAG, 1)
        image.load()
        notes = dict(image.info)
        # A TIFF may have been turned in loading, which takes its tag away; then this does nothing.
        upright = ImageOps.exif_transpose(image) or image
    except UnidentifiedImageError:  # whose text names an object of Python's
        raise DataError(f"{where} holds bytes that are no picture; save the data set again") from None
    except Exception as error:  # decoders of pictures have no common base
        said = " ".join(str(error).split())[:80] or type(error).__name__
        raise DataError(f"{where} cannot be decoded ({said}); save the data set again") from None
    return Opened(picture=upright, turned=turned if turned in range(1, 9) else 1, notes=notes)


def like(grid: NDArray[Any], turned: int, size: tuple[int, int]) -> NDArray[Any]:
    """Return a map h x w that belongs to the pixels of a picture which was turned to ``size``, turned alike.

    Where the picture lay on its side and the map, which is no square, has the shape of it upright, it stays as it is.
    """
    height, width = grid.shape
    if turned >= 5 and height != width and (height < width) == (size[0] < size[1]):
        return grid
    grid = grid.T if turned >= 5 else grid
    rows, columns = (-1 if turned in flipped else 1 for flipped in ((3, 4, 7, 8), (2, 3, 6, 7)))
    return np.ascontiguousarray(grid[::rows, ::columns])
