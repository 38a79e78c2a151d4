"""The header of a safetensors file, read without torch and checked against the file before anybody believes it."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

from kdcli.errors import WeightsError
from kdcli.weights.sort import broken

_LARGEST = 100_000_000
"""Most bytes of a header; the format's own limit."""

_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "U16": 16, "I16": 16, "F16": 16, "BF16": 16, "U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64,
    "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}
"""Bits of a number of each sort."""


def read_header(path: Path) -> tuple[dict[str, str], list[str]]:
    """Return the metadata of a safetensors file and the names of its tensors.

    Raises:
        WeightsError: the header is no such thing, or tensors are not where and as large as it says.
    """
    total = path.stat().st_size
    with path.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8).ljust(8, b"\0"))
        if length > min(total - 8, _LARGEST):
            raise WeightsError(f"'{path}' is cut short or damaged: a header of {length} bytes in a file of {total}")
        content = stream.read(length)
    try:
        header = json.loads(content.decode("utf-8"), object_pairs_hook=_once)
        metadata = header.pop("__metadata__", {})
        if not all(isinstance(value, str) for value in metadata.values()):
            raise ValueError("metadata of something other than text")
        end = _end_of(header)
    # TypeError, AttributeError, KeyError: JSON of another sort; RecursionError: lists in lists without end.
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise broken(path, error) from error
    expected = 8 + length + end
    if expected != total:
        raise WeightsError(f"'{path}' is cut short or damaged: {total} of {expected} bytes; get the file again")
    return metadata, list(header)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the members of an object, none of them twice."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name twice")
    return made


def _end_of(header: dict[str, Any]) -> int:
    """Return where the last tensor ends, counted from the end of the header."""
    places: list[tuple[int, int]] = []
    for name, told in header.items():
        shape, (begin, end), bits = told["shape"], told["data_offsets"], _BITS.get(told["dtype"])
        if not all(type(number) is int and 0 <= number < 1 << 62 for number in (*shape, begin, end)):
            raise ValueError(f"{name[:40]} has a size that is no number")
        if len(shape) > 64 or (bits is not None and math.prod(shape) * bits != 8 * (end - begin)):
            raise ValueError(f"{name[:40]} is not as large as its shape")
        places.append((begin, end))
    reached = 0
    for begin, end in sorted(places):
        if begin != reached or end < begin:
            raise ValueError("tensors that overlap or leave room between them")
        reached = end
    return reached
