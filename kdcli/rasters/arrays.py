"""NPY and NPZ files as depth maps: the sizes that they declare are looked at before anything is unpacked."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from kdcli.errors import DataError, KdcliError
from kdcli.rasters.guards import must_exist, within_limit
from kdcli.rasters.places import Place, open_place

Array = NDArray[np.generic]

MASKS = ("valid", "valid_mask", "mask_valid", "validity", "validity_mask", "mask")
"""Names that a mask beside a map has in an NPZ: not 0 where the map holds a measurement."""

INVERSE_MASKS = ("invalid", "invalid_mask", "mask_invalid")
"""Names of masks that are not 0 where it holds none."""


def read_array(path: Place, key: str | None = None) -> tuple[Array, NDArray[np.bool_] | None]:
    """Return the map of an NPY or NPZ file, H x W, and where its masks say that it holds measurements, if it has any.

    key: the array of an NPZ; by default ``depth``, else the only one that is no mask.

    Raises:
        DataError: not readable, too large, or not one map of numbers.
    """
    with _readable(path):
        if path.suffix.lower() == ".npy":
            with open_place(path) as stream:
                _check(path, *_header(stream))
            if isinstance(path, Path):
                return _flat(np.array(np.load(path, mmap_mode="r", allow_pickle=False))), None
            return _flat(np.lib.format.read_array(open_place(path), allow_pickle=False)), None
        with open_place(path) as stream, zipfile.ZipFile(stream) as archive:
            names = _names(path, archive)
            chosen = _chosen(path, names, key)
            array = _flat(_member(path, archive, names[chosen]))
            known: NDArray[np.bool_] | None = None
            for name in (*MASKS, *INVERSE_MASKS):
                if name in names and name != chosen:
                    mask = _flat(_member(path, archive, names[name], mask=True))
                    if mask.shape != array.shape:
                        shapes = ["x".join(map(str, one.shape)) for one in (array, mask)]
                        raise DataError(f"'{path}' has a depth of {shapes[0]} but '{name}' of {shapes[1]}; "
                                        "make them equal")
                    said = mask > 0 if name in MASKS else ~(mask != 0)  # type: ignore[operator]
                    known = said if known is None else known & said
            return array, known


def read_pixels(path: Place) -> Array:
    """Return the array of an NPY file with three axes, a picture in whatever order of them.

    Raises:
        DataError: not readable, too large, or of other numbers or axes.
    """
    with _readable(path):
        with open_place(path) as stream:
            shape, kind = _header(stream)
        within_limit(path, math.prod(shape) // 3, shape)
        if kind.kind not in "uf" or len(shape) != 3 or not math.prod(shape):
            said = "x".join(map(str, shape)) or "()"
            raise DataError(f"'{path}' holds {kind} of shape {said}, not a picture; store height x width x 3")
        with open_place(path) as stream:
            pixels: Array = np.lib.format.read_array(stream, allow_pickle=False)
            return pixels


def read_stacks(path: Path, names: Sequence[str]) -> dict[str, Array]:
    """Return those arrays of an NPZ that it has, by name, of whatever axes.

    Raises:
        DataError: not readable, too large, or not of numbers.
    """
    must_exist(path)
    found: dict[str, Array] = {}
    with _readable(path), path.open("rb") as stream, zipfile.ZipFile(stream) as archive:
        members = _names(path, archive)
        for name in (one for one in names if one in members):
            found[name] = _member(path, archive, members[name], stacked=True)
    return found


def array_type(path: Place, key: str | None = None) -> np.dtype[np.generic]:
    """Return the number type of the map of an NPY or NPZ file, from its header alone.

    Raises:
        DataError: as ``read_array``.
    """
    with _readable(path):
        if path.suffix.lower() == ".npy":
            with open_place(path) as stream:
                return _header(stream)[1]
        with open_place(path) as outer, zipfile.ZipFile(outer) as archive:
            names = _names(path, archive)
            with archive.open(names[_chosen(path, names, key)]) as stream:
                return _header(stream)[1]


def array_shape(path: Path) -> tuple[int, ...]:
    """Return the shape of an NPY file from its header.

    Raises:
        DataError: not readable.
    """
    must_exist(path)
    with _readable(path), path.open("rb") as stream:
        return _header(stream)[0]


def read_row(path: Path, index: int) -> Array:
    """Return one of the maps that an NPY file stacks on its first axis, H x W; the others are not read.

    Raises:
        DataError: not readable, too large, no such map, or none of numbers.
    """
    with _readable(path):
        with path.open("rb") as stream:
            shape, kind = _header(stream)
        if not 0 <= index < (shape[0] if shape else 0):
            raise DataError(f"'{path}' has {shape[0] if shape else 0} maps and no number {index}; check the file")
        _check(path, shape[1:], kind)
        return _flat(np.array(np.load(path, mmap_mode="r", allow_pickle=False)[index]))


@contextmanager
def _readable(path: Place) -> Iterator[None]:
    try:
        yield
    except KdcliError:
        raise
    except Exception as error:  # what zipfile, zlib and numpy raise for damaged files has no common base
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise DataError(f"'{path}' is not a readable array file ({reason}); write it again with numpy.save") from None


def _names(path: Place, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the members by the names of their arrays.

    Raises:
        DataError: two of one name, of which readers may take either.
    """
    names = [item.filename.removesuffix(".npy") for item in archive.infolist()]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"'{path}' has the array '{twice[:80]}' twice; write it again with numpy.savez")
    return dict(zip(names, archive.infolist(), strict=True))


def _chosen(path: Place, names: dict[str, zipfile.ZipInfo], key: str | None) -> str:
    """Return the array that is the map: ``key``, else ``depth``, else the only one that is no mask, else the only."""
    if key is not None:
        if key not in names:
            raise DataError(f"'{path}' has no array '{key}' (it has: {', '.join(names)[:200]}); check the layout")
        return key
    if "depth" in names:
        return "depth"
    others = [name for name in names if name not in (*MASKS, *INVERSE_MASKS)]
    candidates = others or list(names)
    if len(candidates) != 1:
        listed = ", ".join(names) or "(none)"
        raise DataError(f"'{path}' has arrays {listed[:200]} but no 'depth'; name the map so")
    return candidates[0]


def _member(path: Place, archive: zipfile.ZipFile, item: zipfile.ZipInfo, *, mask: bool = False,
            stacked: bool = False) -> Array:
    with archive.open(item) as stream:
        shape, kind = _header(stream)
        if stacked:
            _check_stack(path, shape, kind)
        else:
            _check(path, shape, kind, mask=mask)
        # numpy makes the whole array before it reads the first byte of a member, however few there are.
        if math.prod(shape) * kind.itemsize > item.file_size:
            raise ValueError(f"'{item.filename}' has {item.file_size} bytes for an array of {shape}")
    with archive.open(item) as stream:
        array: Array = np.lib.format.read_array(stream, allow_pickle=False)
        return array


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    """Return shape and number type."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = read(stream)
    return shape, kind


def _check(path: Place, shape: tuple[int, ...], kind: np.dtype[np.generic], *, mask: bool = False) -> None:
    """Refuse what is not one map of numbers, or too large."""
    within_limit(path, math.prod(shape), shape)
    if kind.kind not in ("iufb" if mask else "iuf") or len(_flat_shape(shape)) != 2 or not math.prod(shape):
        said = "x".join(map(str, shape)) or "()"
        raise DataError(f"'{path}' holds {kind} of shape {said}, not one map of numbers; store height x width")


def _check_stack(path: Place, shape: tuple[int, ...], kind: np.dtype[np.generic]) -> None:
    """Refuse what is no stack of maps or pictures, or too large."""
    within_limit(path, math.prod(shape), shape)
    if kind.kind not in "iuf" or not math.prod(shape):
        said = "x".join(map(str, shape)) or "()"
        raise DataError(f"'{path}' holds {kind} of shape {said}, not maps of numbers; write it again with numpy.savez")


def _flat(array: Array) -> Array:
    return array.reshape(_flat_shape(array.shape))


def _flat_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Drop leading, then trailing, dimensions of one from a shape of more than two."""
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    while len(shape) > 2 and shape[-1] == 1:
        shape = shape[:-1]
    return shape
