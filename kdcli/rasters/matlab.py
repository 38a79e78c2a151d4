"""Arrays of MATLAB files, told apart by their bytes: version 5 by scipy; version 7.3, which is HDF5, by h5py."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdcli.errors import DataError, KdcliError
from kdcli.rasters.guards import must_exist, within_limit
from kdcli.rasters.hdf5 import is_hdf5, read_hdf5
from kdcli.rasters.packages import needed
from kdcli.rasters.places import Element

_BEGINS = b"MATLAB 5.0 MAT-file"


def read_matlab(place: Element) -> NDArray[Any]:
    """Return an array of a MATLAB file, or the part of it that ``index`` names.

    Version 7.3 gives axes in the reverse order of MATLAB's, version 5 in its own. ``.`` in the key asks for a field
    of a struct of version 5.

    Raises:
        DataError: not readable, no such array, or too large.
    """
    must_exist(place.file)
    if is_hdf5(place.file):
        return read_hdf5(place)
    array = _variable(place.file, place.file.stat().st_mtime_ns, place.key.partition(".")[0])
    for field in place.key.split(".")[1:]:
        while array.dtype.names is None and array.dtype == object and array.size == 1:
            array = array.flat[0]
        if array.dtype.names is None or field not in array.dtype.names:
            held = ", ".join(array.dtype.names or ()) or "no fields"
            raise DataError(f"'{place.file}' has no field '{field}' in '{place.key}' (it has: {held[:200]}); check the "
                            "layout")
        array = array[field].flat[0]
    if place.index is not None:
        if not array.ndim or not 0 <= place.index < array.shape[0]:
            raise DataError(f"'{place}' is not there; check the list")
        array = array[place.index]
    return np.asarray(array)


@lru_cache(maxsize=2)  # image, depth and masks of one item are fields of the same variable
def _variable(path: Path, changed: int, name: str) -> NDArray[Any]:
    """Return a variable of a file of version 5; changed: when the file was, so that a new one is read anew."""
    io = needed("scipy.io", path, "a MATLAB file")
    with path.open("rb") as stream:
        begin = stream.read(len(_BEGINS))
    if begin != _BEGINS:
        raise DataError(f"'{path}' is no MATLAB file of version 5 or 7.3; download it again")
    try:
        shapes = {found: shape for found, shape, _ in io.whosmat(path)}
        if name not in shapes:
            raise DataError(f"'{path}' has no variable '{name}' (it has: {', '.join(shapes)[:200]}); check the layout")
        within_limit(path, math.prod(shapes[name]), shapes[name])
        variable: NDArray[Any] = io.loadmat(path, variable_names=[name])[name]
    except KdcliError:
        raise
    except Exception as error:  # scipy raises ValueError, TypeError, zlib.error and others for damaged files
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise DataError(f"'{path}' is truncated or broken ({reason}); download it again") from None
    return variable
