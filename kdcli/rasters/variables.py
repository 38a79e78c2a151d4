"""What HDF5 and MATLAB files hold besides maps: which arrays of which shape, and lists of texts."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdcli.errors import DataError
from kdcli.rasters.guards import must_exist
from kdcli.rasters.hdf5 import is_hdf5, opened_hdf5, own_array
from kdcli.rasters.matlab import read_matlab, shapes_of
from kdcli.rasters.packages import needed
from kdcli.rasters.places import Element

_LONGEST = 4096
"""Letters of a text; what is longer is none."""


def arrays_in(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the arrays at the top of a file by name, with their shapes; axes in the order that HDF5 gives them.

    Raises:
        DataError: not readable.
    """
    must_exist(path)
    if is_hdf5(path):
        with opened_hdf5(path) as file:
            return {name: tuple(node.shape) for name, node in file.items() if hasattr(node, "shape")}
    return {name: tuple(reversed(shape)) for name, shape in shapes_of(path).items()}


def read_texts(place: Element) -> list[str]:
    """Return the texts of a MATLAB cell array, in the order of its numbers.

    Raises:
        DataError: not readable, no such array, or one of something else.
    """
    must_exist(place.file)
    if not is_hdf5(place.file):
        return [_text(place, cell) for cell in _cells(read_matlab(place))]
    h5py = needed("h5py", place, "an HDF5 file")
    with opened_hdf5(place.file) as file:
        array = own_array(place.file, file, place.key.replace(".", "/"))
        if h5py.check_ref_dtype(array.dtype) is None:
            raise DataError(f"'{place}' holds {array.dtype}, not texts; check the layout")
        texts = []
        for reference in np.asarray(array[()]).flatten():
            node = file[reference]
            letters = math.prod(getattr(node, "shape", (math.inf,)))
            if letters > _LONGEST or node.external or node.is_virtual or node.dtype.kind not in "ui":
                raise DataError(f"'{place}' holds something else than texts; check the layout")
            texts.append("".join(map(chr, np.asarray(node[()]).flatten())))
    return texts


def _cells(array: NDArray[Any]) -> list[Any]:
    """Return what the cells of a cell array of version 5 hold."""
    if array.dtype != object:
        return [array] if array.ndim == 0 or array.size <= 1 else list(array.flatten(order="F"))
    cells = list(array.flatten(order="F"))
    # A field of a struct is a cell around the cell array.
    if len(cells) == 1 and isinstance(cells[0], np.ndarray) and cells[0].dtype == object:
        return _cells(cells[0])
    return cells


def _text(place: Element, cell: Any) -> str:
    while isinstance(cell, np.ndarray) and cell.size == 1:
        cell = cell.flat[0]
    if not isinstance(cell, str):
        raise DataError(f"'{place}' holds something else than texts; check the layout")
    return cell
