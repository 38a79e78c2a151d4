"""Masks beside depth maps: where the depth is a measurement."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kdcli.errors import DataError
from kdcli.images import opened
from kdcli.rasters import Element, Place, ending_of, must_exist, open_place, read_array, within_limit
from kdcli.rasters.arrays import INVERSE_MASKS, MASKS
from kdcli.rasters.elements import read_element
from kdcli.sources.roles import Role, has_word, role_of

_DOUBT = frozenset({"confidence", "conf", "occlusion", "occluded", "sky"})
MASK_SUFFIXES = frozenset({".png", ".tif", ".tiff", ".bmp", ".npy"})
"""Endings of files that are read as masks, lower case; formats that blur numbers are left out."""


def read_mask(path: Place, size: tuple[int, int], depth: Place) -> Tensor:
    """Read the mask of a depth map of this height and width as 1 x h x w bool: true where it is not 0.

    depth: the map that it belongs to, for messages.

    Raises:
        DataError: missing, broken, a Git LFS pointer, too large, of another size, or not one number a pixel.
    """
    if isinstance(path, Element):
        array = read_element(path)
    elif ending_of(path) == ".npy":
        array = _array(path)
    else:
        with opened(path) as image:
            if image.mode == "P":
                raise DataError(f"'{path}' is a picture with a palette, not a mask; give one of 0 and 255")
            if image.mode == "1" and image.format == "TIFF" and image.tag_v2.get(262) == 0:  # type: ignore[attr-defined]
                raise DataError(
                    f"the mask '{path}' is a one-bit TIFF in which 0 is white: writers mean either by that (tifffile "
                    "the numbers, Pillow the looks); store it as PNG or as 8-bit numbers"
                )
            array = np.asarray(image)
        if array.ndim == 3:
            array = array[..., :3].max(axis=2)
    if array.shape != size:
        shown = "x".join(map(str, array.shape[::-1]))
        raise DataError(
            f"the mask '{path}' is {shown} but its depth '{depth}' is {size[1]}x{size[0]} (width x height); "
            "give the mask of this depth map or take it away"
        )
    return torch.from_numpy(np.isfinite(array) & (array != 0))[None]


def doubtful_arrays(path: Path) -> list[str]:
    """Return the arrays of an NPZ that may say where depth is none and that reading it does not take for that."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
    except (OSError, ValueError, zipfile.BadZipFile):  # reading it says what is wrong
        return []
    known = {*MASKS, *INVERSE_MASKS}
    return [name for name in names if name not in known and (role_of(name) is Role.MASK or has_word(name, _DOUBT))]


def _array(path: Place) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    must_exist(path)
    try:
        file = path if isinstance(path, Path) else open_place(path)
        lazy = np.load(file, mmap_mode="r" if isinstance(path, Path) else None, allow_pickle=False)
    except Exception:  # it is read again below, and what is wrong is said there
        lazy = None
    if lazy is None or lazy.dtype.kind != "b":
        return read_array(path)[0]
    within_limit(path, lazy.size)
    return np.array(lazy).squeeze()
