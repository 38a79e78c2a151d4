"""Arrays of MATLAB files, told apart by their bytes: version 5 by scipy; version 7.3, which is HDF5, by h5py."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdcli.errors import DataError
from kdcli.rasters.guards import must_exist
from kdcli.rasters.hdf5 import is_hdf5, read_hdf5
from kdcli.rasters.mat_elements import BEGINS, Variable, file_of_variable, variables_in
from kdcli.rasters.packages import needed
from kdcli.rasters.places import Element


def read_matlab(place: Element) -> NDArray[Any]:
    """Return an array of a MATLAB file, or the part of it that ``index`` names.

    Version 7.3 gives axes in the reverse order of MATLAB's, version 5 in its own, unless ``transposed`` says that they
    are reversed: then both give the same. ``.`` in the key asks for a field of a struct of version 5.

    Raises:
        DataError: not readable, no such array, or too large.
    """
    must_exist(place.file)
    if is_hdf5(place.file):
        return read_hdf5(place)
    array = _variable(place.file, place.file.stat().st_mtime_ns, place.key.partition(".")[0])
    for field in place.key.split(".")[1:]:
        array = _field(place, array, field)
    if place.transposed:
        array = array.T
    if place.index is not None:
        if not array.ndim or not 0 <= place.index < array.shape[0]:
            raise DataError(f"'{place}' is not there; check the list")
        array = array[place.index]
    return np.asarray(array)


def _field(place: Element, array: NDArray[Any], name: str) -> NDArray[Any]:
    """Return a field of a struct, which cells may be around."""
    while isinstance(array, np.ndarray) and array.dtype == object and array.size == 1:
        array = array.flat[0]
    held = getattr(getattr(array, "dtype", None), "names", None) or ()
    found = array[name].flat[0] if name in held and array.size else None
    if not isinstance(found, np.ndarray):
        known = ", ".join(held) or "no fields"
        raise DataError(f"'{place.file}' has no field '{name}' in '{place.key}' (it has: {known[:200]}); check the "
                        "layout")
    return found


def fields_of(path: Path, name: str) -> tuple[str, ...]:
    """Return the fields of a struct of version 5; none where the variable is no struct.

    Raises:
        DataError: not readable, or no such variable.
    """
    must_exist(path)
    return tuple(_variable(path, path.stat().st_mtime_ns, name).dtype.names or ())


def shapes_of(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the variables of a file of version 5 with their shapes, in MATLAB's order of axes.

    Raises:
        DataError: not readable.
    """
    return {name: found.shape for name, found in _variables(path).items()}


def _variables(path: Path) -> dict[str, Variable]:
    with path.open("rb") as stream:
        begin = stream.read(len(BEGINS))
    if begin != BEGINS:
        raise DataError(f"'{path}' is no MATLAB file of version 5 or 7.3; download it again")
    return variables_in(path)


@lru_cache(maxsize=2)  # image, depth and masks of one item are fields of the same variable
def _variable(path: Path, changed: int, name: str) -> NDArray[Any]:
    """Return a variable of a file of version 5; changed: when the file was, so that a new one is read anew."""
    variables = _variables(path)
    if name not in variables:
        raise DataError(f"'{path}' has no variable '{name}' (it has: {', '.join(variables)[:200]}); check the layout")
    io = needed("scipy.io", path, "a MATLAB file")
    content = BytesIO(file_of_variable(path, variables[name]))
    with _said(path):
        variable: NDArray[Any] = io.loadmat(content, variable_names=[name])[name]
    return variable


@contextmanager
def _said(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # scipy raises ValueError, TypeError, zlib.error and others for damaged files
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise DataError(f"'{path}' is truncated or broken ({reason}); download it again") from None
