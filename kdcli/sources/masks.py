"""Masks of objects as COCO writes them: polygons and run lengths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


def fill_polygon(corners: Sequence[float] | NDArray[np.floating], size: tuple[int, int]) -> Mask:
    """Return the H x W pixels whose centres lie in a polygon (x, y, x, y, ... with 0, 0 the image's upper left corner).

    Where a polygon crosses itself, what is inside an even number of times is outside. Pixel centres, since a drawing
    library fills the outline as well: neighbouring objects would overlap, and all grow by half a pixel.
    """
    height, width = size
    points = np.asarray(corners, np.float64).reshape(-1, 2)
    (x0, y0), (x1, y1) = points.T, np.roll(points, -1, axis=0).T
    middle = np.arange(height)[:, None] + 0.5
    rows, edges = np.nonzero((y0 <= middle) != (y1 <= middle))
    slope = (x1[edges] - x0[edges]) / (y1[edges] - y0[edges])
    crossings = x0[edges] + (middle[rows, 0] - y0[edges]) * slope
    # Each crossing turns inside to outside for every pixel whose centre lies to the right of it.
    columns = np.clip(np.ceil(crossings - 0.5), 0, width).astype(np.int64)
    mask = np.zeros(size, bool)
    if not len(rows):
        return mask
    top, left, right = rows[0], columns.min(), columns.max()
    turns = np.zeros((rows[-1] + 1 - top, right + 1 - left), np.uint8)
    np.add.at(turns, (rows - top, columns - left), 1)
    mask[top : rows[-1] + 1, left:right] = turns.cumsum(axis=1, dtype=np.uint8)[:, :-1] & 1
    return mask


def fill_runs(counts: Sequence[int] | str, size: tuple[int, int]) -> Mask:
    """Return the H x W mask of run lengths: outside, inside, outside ..., down the columns from left to right.

    counts: the lengths, or COCO's compressed text of them.

    Raises:
        ValueError: they are no lengths, or do not add up to the size.
    """
    lengths = _unpacked(counts) if isinstance(counts, str) else np.asarray(counts, np.int64)
    if lengths.ndim != 1 or (lengths < 0).any() or lengths.sum() != size[0] * size[1]:
        raise ValueError(f"run lengths do not add up to {size[0]} x {size[1]}")
    inside = np.arange(len(lengths)) % 2 == 1
    return np.repeat(inside, lengths).reshape(size[1], size[0]).T


def _unpacked(text: str) -> NDArray[np.int64]:
    """Return the lengths of compressed text.

    Five bits a letter, lowest first, from '0' on; 32 says that the number goes on, 16 in its last letter that it is
    negative. From the fourth on, a number is the difference to the length two before.
    """
    lengths: list[int] = []
    number = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64:
            raise ValueError(f"'{letter}' is no letter of compressed run lengths")
        number |= (bits & 31) << shift
        shift += 5
        if shift > 60:  # more than any length, and ever slower to add to
            raise ValueError("compressed run lengths have a number that cannot be")
        if bits & 32:
            continue
        if bits & 16:
            number -= 1 << shift
        lengths.append(number + (lengths[-2] if len(lengths) > 2 else 0))
        number = shift = 0
    if shift:
        raise ValueError("compressed run lengths end in the middle of a number")
    return np.array(lengths, np.int64)
