"""Small formats of floating-point maps: PFM, Sintel's DPT, and files that are nothing but floats."""

from __future__ import annotations

import math
import re
import struct

import numpy as np
from numpy.typing import NDArray

from kdcli.errors import DataError
from kdcli.rasters.guards import within_limit
from kdcli.rasters.places import Place, open_place, size_of

_PFM = re.compile(rb"(P[fF])\s+(\d{1,9})\s+(\d{1,9})\s+(-?\d*\.?\d+(?:[eE][-+]?\d+)?)\s")
_HEADER = 1024
_DPT_TAG = 202021.25
"""A float that tells a reader with the wrong byte order."""

Floats = NDArray[np.float32]


def read_pfm(place: Place) -> Floats:
    """Read a portable float map of one channel, H x W, top row first.

    Rows are stored from the bottom up, and the sign of the scale is the byte order: negative is little-endian. Its size
    has no agreed meaning and is left alone.

    Raises:
        DataError: another format, three channels, truncated or too large.
    """
    with open_place(place) as stream:
        head = _PFM.match(stream.read(_HEADER))
        if head is None:
            raise DataError(f"'{place}' has no header of a PFM file; write it again")
        if head[1] == b"PF":
            raise DataError(f"'{place}' is a PFM of three colours, not a depth map; give the one with one number per "
                            "pixel")
        width, height, scale = int(head[2]), int(head[3]), float(head[4])
        if not width * height or scale == 0:
            raise DataError(f"'{place}' says {width} x {height} pixels at scale {scale:g}, which no PFM has; write it "
                            "again")
        stream.seek(head.end())
        rows = _floats(place, stream.read(), (height, width), "<" if scale < 0 else ">")
    return rows[::-1]


def read_dpt(place: Place) -> Floats:
    """Read a depth map of Sintel: a tag, width and height as 32-bit numbers, then floats, all little-endian.

    Raises:
        DataError: another format, truncated or too large.
    """
    with open_place(place) as stream:
        head = stream.read(12)
        tag, width, height = struct.unpack("<fii", head) if len(head) == 12 else (math.nan, 0, 0)
        if tag != _DPT_TAG or width < 1 or height < 1:
            raise DataError(f"'{place}' does not begin as Sintel's depth files do; download it again")
        return _floats(place, stream.read(), (height, width), "<")


def read_headerless(place: Place, shape: tuple[int, int]) -> Floats:
    """Read a file of nothing but little-endian floats of a known height and width, as ETH3D has them.

    Raises:
        DataError: the file has another size, such as a photograph of the same name.
    """
    size, wanted = size_of(place), shape[0] * shape[1] * 4
    if size != wanted:
        raise DataError(f"'{place}' has {size} bytes and would have {wanted} as floats of an image of "
                        f"{shape[0]}x{shape[1]} (height x width); it is not the depth of this image")
    with open_place(place) as stream:
        return _floats(place, stream.read(), shape, "<")


def _floats(place: Place, content: bytes, shape: tuple[int, int], order: str) -> Floats:
    within_limit(place, math.prod(shape), (shape[1], shape[0]))
    if len(content) < 4 * math.prod(shape):
        raise DataError(f"'{place}' is truncated: {len(content)} bytes for {shape[1]} x {shape[0]} floats; download it "
                        "again")
    array = np.frombuffer(content, f"{order}f4", math.prod(shape)).reshape(shape)
    return array.astype(np.float32, copy=False)
