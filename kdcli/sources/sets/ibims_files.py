"""What iBims-1 has of an image besides depth, and how it is stored."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdcli.errors import DataError
from kdcli.images import opened
from kdcli.rasters import Element, Place
from kdcli.rasters.elements import read_element

CALIBRATION = "calib"
PLANES = ("wall", "table", "floor")
"""Kinds of planes; plane j of a kind, from 0, is where its map is j + 1."""
_NORMAL = slice(4, 7)
"""Columns of a plane's numbers that are its unit normal."""


def read_map(place: Place) -> NDArray[Any]:
    """Return a map of whole numbers or of 0 and 1, H x W.

    Raises:
        DataError: missing, broken, or more than one number a pixel.
    """
    if isinstance(place, Element):
        array = read_element(place)
    else:
        with opened(place) as image:
            array = np.asarray(image)
    if array.ndim == 3:
        array = array[..., :3].max(axis=2)
    if array.ndim != 2:
        shape = "x".join(map(str, array.shape)) or "()"
        raise DataError(f"'{place}' has the shape {shape}, not one number a pixel; check the layout")
    return array


def camera_in(matrix: NDArray[Any], place: Place) -> tuple[float, float, float, float]:
    """Return fx, fy, cx, cy of a matrix that stands as usual or, as in the MATLAB files, turned over.

    Raises:
        DataError: no 3 x 3 matrix.
    """
    if matrix.shape != (3, 3):
        shape = "x".join(map(str, matrix.shape)) or "()"
        raise DataError(f"'{place}' has the shape {shape}, not that of a camera's matrix; download it again")
    turned = matrix if matrix[0, 2] or matrix[1, 2] else matrix.T
    return float(turned[0, 0]), float(turned[1, 1]), float(turned[0, 2]), float(turned[1, 2])


def normals_in(rows: NDArray[Any], place: Place) -> NDArray[np.float64]:
    """Return the unit normals of planes, n x 3, of their rows of numbers.

    Raises:
        DataError: other rows.
    """
    if not rows.size:
        return np.zeros((0, 3))
    rows = np.atleast_2d(rows)
    if rows.ndim != 2 or rows.shape[1] < _NORMAL.stop or rows.dtype.kind not in "iuf":
        shape = "x".join(map(str, rows.shape))
        raise DataError(f"'{place}' has the shape {shape}, not a row of seven numbers a plane; check the layout")
    return np.ascontiguousarray(rows[:, _NORMAL], np.float64)
