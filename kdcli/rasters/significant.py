"""PNGs that say that fewer bits count than they store: numbers of 12 bits, spread over 16.

The format asks a writer to spread such numbers over the whole range and to tell their bits in an ``sBIT`` chunk (PNG
specification, third edition, 11.3.2.7 and 12.4), so that a picture looks right. For depth that is another unit: readers
that do not look, Pillow and OpenCV among them, give sixteen times the millimetres.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdcli.rasters.places import Place, open_place

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MOST_CHUNKS = 1000
"""Of those before the pixels that are looked through."""


def significant_bits(path: Place) -> int | None:
    """Return the bits that count of a grey PNG by its ``sBIT`` chunk; None where it has none or is no such PNG."""
    with open_place(path) as stream:
        if stream.read(8) != _SIGNATURE:
            return None
        for _ in range(_MOST_CHUNKS):
            head = stream.read(8)
            if len(head) < 8 or head[4:] in (b"IDAT", b"IEND"):
                return None
            (length,) = struct.unpack(">I", head[:4])
            if head[4:] == b"sBIT":
                content = stream.read(length) if length <= 4 else b""
                return content[0] if len(content) == 1 else None
            stream.seek(length + 4, 1)
    return None


def unspread(numbers: NDArray[Any], bits: int | None) -> NDArray[Any]:
    """Return the numbers of ``bits`` bits that were spread over those of their type, as they were before.

    Numbers that are no spread ones stay as they are: some writers tell the bits and store the numbers plainly.
    """
    stored = numbers.dtype.itemsize * 8
    if numbers.dtype.kind != "u" or bits is None or not 0 < bits < stored:
        return numbers
    plain = numbers >> (stored - bits)
    spread = plain.astype(np.float64) * ((2**stored - 1) / (2**bits - 1))
    # Writers round the factor or repeat the upper bits: one apart at the most.
    if not bool((np.abs(spread - numbers) <= 1).all()):
        return numbers
    # The largest number says that there was no measurement, in any type.
    largest = np.iinfo(numbers.dtype).max
    return np.where(numbers == largest, numbers, plain)
