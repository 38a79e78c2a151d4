"""Arrays inside HDF5 and MATLAB files, and the maps that an NPY file stacks, whichever of them a file is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdcli.rasters.arrays import read_row
from kdcli.rasters.hdf5 import read_hdf5
from kdcli.rasters.matlab import read_matlab
from kdcli.rasters.places import Element, ending_of


def read_element(place: Element) -> NDArray[Any]:
    """Return an array with its rows before its columns.

    Raises:
        DataError: not readable, no such array, or too large.
    """
    if ending_of(place) == ".npy":
        return read_row(place.file, place.index or 0)
    array = read_matlab(place) if ending_of(place) == ".mat" else read_hdf5(place)
    return np.ascontiguousarray(array.swapaxes(-1, -2)) if place.transposed and array.ndim > 1 else array
