"""A map enlarged at some places alone: a laser measures a few pixels of a hundred, and only they are asked for."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from kdcli.evals.listed import Floats

Size = tuple[int, int]
Table = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]

_FEW = 10
"""Of so many pixels at most one is asked for; of more, all of them together take less."""


def is_few(places: int, size: Size) -> bool:
    """Whether so many places of a map of a size are worth asking for one by one."""
    return _FEW * places < size[0] * size[1]


def bilinear_at(map_hw: Floats, size: Size, places: NDArray[np.intp]) -> Floats:
    """Return the numbers that a map, h x w float32, has at places of its flattened enlargement to a size.

    As ``torch.nn.functional.interpolate(..., mode="bilinear", align_corners=False)`` gives them, but for the last bits.
    """
    height, width = map_hw.shape
    row = places // size[1]
    column = places - row * size[1]
    above, below, down = _neighbours(height, size[0], width)
    left, right, across = _neighbours(width, size[1], 1)
    upper, lower, low = above.take(row), below.take(row), down.take(row)
    first, second, far = left.take(column), right.take(column), across.take(column)
    flat, near = map_hw.reshape(-1), 1 - far
    over = flat.take(upper + first) * near + flat.take(upper + second) * far
    under = flat.take(lower + first) * near + flat.take(lower + second) * far
    found: Floats = over * (1 - low) + under * low
    return found


@lru_cache(maxsize=64)
def _neighbours(before: int, after: int, step: int) -> Table:
    """Return the places of the two neighbours of each row or column, times a step, and the weight of the second."""
    # PyTorch multiplies and subtracts in one, which is rounded once; in a large map that is seen.
    scale = np.float64(np.float32(before) / np.float32(after))
    at = np.maximum(scale * (np.arange(after) + 0.5) - 0.5, 0).astype(np.float32)
    first = np.minimum(at.astype(np.intp), before - 1)
    second = np.minimum(first + 1, before - 1)
    return first * step, second * step, np.clip(at - first.astype(np.float32), 0, 1).astype(np.float32)
