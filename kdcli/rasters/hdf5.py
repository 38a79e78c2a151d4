"""Arrays of HDF5 files, MATLAB 7.3 among them: shapes are looked at before numbers are read, links are not followed.

An HDF5 file may name other files as the place of its numbers; such arrays are refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdcli.errors import DataError, KdcliError
from kdcli.rasters.guards import must_exist, within_limit
from kdcli.rasters.packages import needed
from kdcli.rasters.places import Element

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_OFFSETS = (0, 512, 1024, 2048)
"""Where the signature may stand: MATLAB 7.3 puts 512 bytes of its own in front."""


def is_hdf5(path: Path) -> bool:
    """Whether a file is HDF5 by its signature."""
    with path.open("rb") as stream:
        for offset in _OFFSETS:
            stream.seek(offset)
            if stream.read(8) == _SIGNATURE:
                return True
    return False


@contextmanager
def opened_hdf5(path: Path) -> Iterator[Any]:
    """Open a file for reading; whatever goes wrong inside becomes a ``DataError``."""
    must_exist(path)
    h5py = needed("h5py", path, "an HDF5 file")
    if not is_hdf5(path):
        raise DataError(f"'{path}' is no HDF5 file; download it again or check its ending")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except KdcliError:
        raise
    except Exception as error:  # h5py raises OSError, KeyError, RuntimeError and others for damaged files
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise DataError(f"'{path}' is truncated or broken ({reason}); download it again") from None


def read_hdf5(place: Element) -> NDArray[Any]:
    """Return an array of an HDF5 file, or the part of it that ``index`` names.

    Raises:
        DataError: not readable, no such array, one that lies in another file, or too large.
    """
    with opened_hdf5(place.file) as file:
        dataset = own_array(place.file, file, place.key)
        shape = tuple(dataset.shape)
        if place.index is None:
            within_limit(place, math.prod(shape), shape)
            return np.asarray(dataset[()])
        if not shape or not 0 <= place.index < shape[0]:
            count = shape[0] if shape else 0
            raise DataError(f"'{place}' is not there: '{place.key}' has {count} items; check the list")
        within_limit(place, math.prod(shape[1:]), shape[1:])
        return np.asarray(dataset[place.index])


def own_array(path: Path, file: Any, key: str) -> Any:
    """Return an array that lies in the file itself.

    Raises:
        DataError: there is none of that name, or it or its numbers are in another file.
    """
    h5py, node = needed("h5py", path, "an HDF5 file"), file
    for part in key.strip("/").split("/"):
        if not hasattr(node, "keys") or part not in node:
            held = ", ".join(sorted(map(str, node)))[:200] if hasattr(node, "keys") else "no group"
            raise DataError(f"'{path}' has no array '{key}' (it has: {held}); check the layout")
        if not isinstance(node.get(part, getlink=True), h5py.HardLink):
            raise DataError(f"'{path}' has '{key}' as a link, which is not followed; write it as one file")
        node = node[part]
    if not isinstance(node, h5py.Dataset):
        raise DataError(f"'{path}' has a group '{key}' where an array should be; check the layout")
    if node.external or node.is_virtual:
        raise DataError(f"'{path}' has '{key}' in another file, which is not opened; write it as one file")
    return node
