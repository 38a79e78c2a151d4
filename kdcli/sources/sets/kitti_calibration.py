"""Calibration files of KITTI's frames: a matrix a line, ``P2: ...``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kdcli.errors import DataError
from kdcli.sources.texts.numbers import check_camera, check_number, number_of, read_lines

Matrix = NDArray[np.float64]


def read_matrices(path: Path) -> Mapping[str, Matrix]:
    """Return the rows of numbers of a file by their names; lines that hold anything else are left out.

    Raises:
        DataError: it cannot be read, or holds a number that is not finite.
    """
    matrices: dict[str, Matrix] = {}
    for number, line in enumerate(read_lines(path, "KITTI's calibration, a matrix a line"), 1):
        name, colon, text = line.partition(":")
        words = [number_of(word) for word in text.split()]
        values = [value for value in words if value is not None]
        if not colon or not values or len(values) < len(words):
            continue
        for value in values:
            check_number(value, (-1e9, 1e9), "the number", f"'{path}' line {number}")
        matrices[name.strip()] = np.array(values)
    return matrices


def matrix(matrices: Mapping[str, Matrix], names: tuple[str, ...], shape: tuple[int, int], path: Path) -> Matrix:
    """Return the first of several matrices that a file has, in its shape.

    Raises:
        DataError: it has none of them with as many numbers.
    """
    found = next((matrices[name] for name in names if name in matrices), None)
    if found is None or found.size != shape[0] * shape[1]:
        raise DataError(f"'{path}' has no {' or '.join(names)} of {shape[0]} x {shape[1]} numbers; download it again")
    return found.reshape(shape)


def camera_of_projection(projection: Matrix, path: Path) -> tuple[float, float, float, float]:
    """Return fx, fy, cx, cy of a projection of 3 x 4.

    Raises:
        DataError: numbers that no camera has.
    """
    fx, fy, cx, cy = (float(projection[at]) for at in ((0, 0), (1, 1), (0, 2), (1, 2)))
    return check_camera((fx, fy, cx, cy), f"'{path}'")
