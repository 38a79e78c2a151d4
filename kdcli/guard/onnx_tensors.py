"""How many bytes a tensor of an ONNX file declares, held against those that are there."""

from __future__ import annotations

import math
from typing import Any

from kdcli.guard.words import Refused

_BITS = {1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 14: 64, 15: 128, 16: 16,
         17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4, 24: 8, 25: 2, 26: 2}  # fmt: skip
"""Bits of an element, by the number that the format gives its type."""

_STRING, _COMPLEX = 8, (14, 15)

DTYPES = {1: "f4", 2: "u1", 3: "i1", 4: "u2", 5: "i2", 6: "i4", 7: "i8", 9: "?", 10: "f2", 11: "f8", 12: "u4", 13: "u8"}
"""Types that NumPy has, by their number."""


def bytes_of(tensor: Any) -> int:
    """Return how many bytes a tensor declares.

    Raises:
        Refused: a type that is unknown, or sizes that cannot be.
    """
    if tensor.data_type not in _BITS or any(not 0 <= side < 2**48 for side in tensor.dims):
        raise Refused(f"declares '{tensor.name[:60]}' of type {tensor.data_type} and sizes {list(tensor.dims)[:8]}")
    count: int = math.prod(tensor.dims)
    return -(-count * _BITS[tensor.data_type] // 8)


def check_tensor(tensor: Any) -> None:
    """Check that a tensor holds as many values as it declares.

    Raises:
        Refused: it does not.
    """
    count = math.prod(tensor.dims)
    if tensor.data_type == _STRING:
        fits = len(tensor.string_data) == count
    elif tensor.HasField("raw_data"):
        fits = len(tensor.raw_data) == bytes_of(tensor)
    else:
        listed = sum(
            len(getattr(tensor, f"{kind}_data")) for kind in ("float", "int32", "int64", "double", "uint64")
        )  # fmt: skip
        per_value = 2 if tensor.data_type in _COMPLEX else min(1.0, _BITS.get(tensor.data_type, 8) / 8)
        fits = bytes_of(tensor) >= 0 and listed in (count * per_value, math.ceil(count * per_value), count)
    if not fits:
        raise Refused(f"declares '{tensor.name[:60]}' as {list(tensor.dims)[:8]}, and holds another number of values")
