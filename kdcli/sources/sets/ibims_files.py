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
MASKS = ("mask_invalid", "mask_transp")
"""1 where depth counts; masks multiply."""
PLANES = ("wall", "table", "floor")


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
