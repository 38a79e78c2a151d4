"""Depth maps that are no pictures: NumPy and PGM files, and the guards in front of every decoder.

``kdcli.images`` is what the rest of the project uses; this holds the two formats that it does not leave to Pillow.
"""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kdcli.errors import DataError
from kdcli.files import is_lfs_pointer

PIXEL_LIMIT = 100_000_000
"""Most pixels that are decoded: a guard against files that would fill the memory."""

def must_exist(path: Path) -> None:
    """Refuse a path that is no file with content.

    Raises:
        DataError: a folder, missing, forbidden, of no bytes, or a Git LFS pointer.
    """
    if path.is_dir():
        raise DataError(f"'{path}' is a folder, not a file; give an image")
    if not path.exists():
        raise DataError(f"'{path}' does not exist; check the path")
    if not os.access(path, os.R_OK):
        raise DataError(f"'{path}' may not be read; change its permissions")
    if path.stat().st_size == 0:
        raise DataError(f"'{path}' is empty (0 bytes); re-download it or leave it out")
    if is_lfs_pointer(path):
        raise DataError(f"'{path}' is a Git LFS pointer, not the file itself; run 'git lfs pull' in its repository")


def within_limit(path: Path, pixels: int) -> None:
    """Refuse more pixels than ``PIXEL_LIMIT`` before they are decoded.

    Raises:
        DataError: more than that.
    """
    if pixels > PIXEL_LIMIT:
        raise DataError(too_large(path, f"{pixels / 1e6:.0f} megapixels, more"))


def too_large(path: Path, amount: str) -> str:
    """Return the message for a file with too many pixels."""
    most = f"{PIXEL_LIMIT / 1e6:.0f} megapixels"
    return f"'{path}' has {amount} than the limit of {most}; make it smaller or leave it out"


def read_array(path: Path) -> tuple[NDArray[np.generic], NDArray[np.generic] | None]:
    """Return the map of an NPY or NPZ file, H x W, and its mask when it has one.

    Raises:
        DataError: not readable, too large, or not one map of numbers.
    """
    mask = None
    try:
        if path.suffix.lower() == ".npy":
            lazy = np.load(path, mmap_mode="r", allow_pickle=False)
            within_limit(path, lazy.size)
            array = np.array(lazy)
        else:
            with zipfile.ZipFile(path) as archive:
                within_limit(path, max((item.file_size for item in archive.infolist()), default=0) // 8)
            with np.load(path, allow_pickle=False) as members:
                if "depth" not in members.files and len(members.files) != 1:
                    listed = ", ".join(members.files) or "(none)"
                    raise DataError(f"'{path}' has arrays {listed} but no 'depth'; name the map so")
                array = members["depth" if "depth" in members.files else members.files[0]]
                mask = members["valid"] if "valid" in members.files else None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, KeyError) as error:
        reason = " ".join(str(error).split())[:100]
        raise DataError(f"'{path}' is not a readable array file ({reason}); write it again with numpy.save") from None
    array, mask = _flat(array), None if mask is None else _flat(mask)
    shape = "x".join(map(str, array.shape)) or "()"
    if array.dtype.kind not in "iuf" or array.ndim != 2 or not array.size:
        raise DataError(f"'{path}' holds {array.dtype} of shape {shape}, not one map of numbers; store height x width")
    if mask is not None and mask.shape != array.shape:
        other = "x".join(map(str, mask.shape))
        raise DataError(f"'{path}' has a depth of {shape} but 'valid' of {other}; make them equal")
    return array, mask


def _flat(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """Drop leading, then trailing, dimensions of one from an array of more than two."""
    while array.ndim > 2 and array.shape[0] == 1:
        array = array[0]
    while array.ndim > 2 and array.shape[-1] == 1:
        array = array[..., 0]
    return array


def read_pgm(path: Path) -> tuple[NDArray[np.generic], bool]:
    """Read a binary PGM, and say whether its bytes were swapped.

    Pillow stretches a 16-bit PGM to 65535 when its maximum is smaller, which would change the unit; so this does not
    use it. The format says big-endian, some depth cameras' tools write little-endian: the order in which neighbours
    differ far less is the right one, since swapping puts the noisy low byte on top.

    Raises:
        DataError: another kind of PGM, truncated or too large.
    """
    content = path.read_bytes()
    fields: list[bytes] = []
    position = 0
    while len(fields) < 4 and position < len(content):
        if content[position : position + 1] == b"#":
            position = content.find(b"\n", position) + 1 or len(content)
            continue
        end = position
        while end < len(content) and not content[end : end + 1].isspace():
            end += 1
        if end > position:
            fields.append(content[position:end])
        position = end + 1
    if len(fields) < 4 or fields[0] != b"P5" or not all(field.isdigit() for field in fields[1:]):
        raise DataError(f"'{path}' is not a binary PGM (P5) file; convert it to 16-bit PNG")
    width, height, most = (int(field) for field in fields[1:])
    within_limit(path, width * height)
    kind = np.dtype(">u2") if most > 255 else np.dtype("u1")
    if not width * height or len(content) - position < width * height * kind.itemsize:
        raise DataError(f"'{path}' is truncated: {len(content)} bytes for {width} x {height} pixels; re-download it")
    array = np.frombuffer(content, kind, width * height, position).reshape(height, width)
    if kind.itemsize == 1:
        return array, False
    other = array.byteswap()
    swapped = _roughness(other) < 0.25 * _roughness(array)
    return (other if swapped else array).astype(np.uint16), swapped


def _roughness(array: NDArray[np.generic]) -> float:
    return float(np.abs(np.diff(array.astype(np.int32), axis=1)).mean()) if array.shape[1] > 1 else 0.0
