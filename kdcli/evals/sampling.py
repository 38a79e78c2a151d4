"""A map enlarged where it is asked for: at a laser's few pixels of a hundred, or within a crop."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from kdcli.evals.listed import Box, Floats

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


def whole_factors(before: Size, after: Size) -> Size | None:
    """Return how many times higher and wider a size is than another; None where these are no whole numbers."""
    if after[0] % before[0] or after[1] % before[1]:
        return None
    return after[0] // before[0], after[1] // before[1]


def bilinear_within(map_hw: Floats, factors: Size, box: Box) -> Floats:
    """Return the rows and columns that a map, h x w float32, has within a box of its enlargement by whole factors.

    As ``torch.nn.functional.interpolate(..., mode="bilinear", align_corners=False)`` gives them, but for the last bits:
    where a factor is whole, the weights of a row or a column recur, so that all of a kind are made at once.
    """
    wide = _stretched(map_hw, factors[1], box[1], 1)  # the dearer one while there are few rows
    return _stretched(wide, factors[0], box[0], 0)


def _stretched(map_hw: Floats, factor: int, part: slice, axis: int) -> Floats:
    """Return a part of the rows (axis 0) or the columns (1) that a map has ``factor`` times as many of."""
    side = map_hw.shape[axis]
    start, stop, _ = part.indices(side * factor)
    first, last = start // factor, -(-stop // factor)
    along = map_hw if axis == 0 else map_hw.T
    inner = along[max(first - 1, 0) : last + 1]
    edges = [*([inner[:1]] if first == 0 else []), inner, *([inner[-1:]] if last == side else [])]
    source = np.concatenate(edges) if len(edges) > 1 else inner
    count, other = last - first, along.shape[1]
    made = np.empty((count, factor, other) if axis == 0 else (other, count, factor), map_hw.dtype)
    rows = made if axis == 0 else made.transpose(1, 2, 0)
    for phase in range((factor + 1) // 2):  # the last but so many has the same weights, the other way round
        far = (phase + 0.5) / factor + 0.5
        lesser, greater = source * (1 - far), source * far
        np.add(lesser[:count], greater[1 : count + 1], out=rows[:, phase])
        np.add(greater[1 : count + 1], lesser[2:], out=rows[:, factor - 1 - phase])
    if axis == 0:
        return made.reshape(-1, other)[start - first * factor : stop - first * factor]
    return made.reshape(other, -1)[:, start - first * factor : stop - first * factor]


@lru_cache(maxsize=64)
def _neighbours(before: int, after: int, step: int) -> Table:
    """Return the places of the two neighbours of each row or column, times a step, and the weight of the second."""
    # PyTorch multiplies and subtracts in one, which is rounded once; in a large map that is seen.
    scale = np.float64(np.float32(before) / np.float32(after))
    at = np.maximum(scale * (np.arange(after) + 0.5) - 0.5, 0).astype(np.float32)
    first = np.minimum(at.astype(np.intp), before - 1)
    second = np.minimum(first + 1, before - 1)
    return first * step, second * step, np.clip(at - first.astype(np.float32), 0, 1).astype(np.float32)
