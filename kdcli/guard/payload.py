"""What an archive declares of its tensors, held against the bytes that are there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from kdcli.guard.words import WORDS, Refused, fitting

_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 2, 7: 4, 8: 8, 9: 4, 10: 8, 11: 16, 12: 1, 13: 2, 28: 2, 29: 1, 30: 1, 31: 1,
          32: 1, 33: 1, 34: 4, 35: 8}  # fmt: skip
"""Bytes of an element, by the number that the format gives its type."""

_EXPANDED = 1 << 24
"""A tensor may be this many bytes, whatever it is made from: an expanded one repeats few."""

_STRIDED = 7


def plain_payload(config: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, Any]:
    """Return the document again, after a look at whether each tensor lies within the bytes of its member.

    Args:
        config: by name, each with ``path_name`` and ``tensor_meta``, under ``config``.
        sizes: bytes of each member that there is.

    Raises:
        Refused: one does not, or is no plain tensor. KeyError, TypeError, ValueError: it is no such document.
    """
    return {"config": {fitting(WORDS, name): _plain(name[:60], one, sizes) for name, one in config["config"].items()}}


def _plain(name: str, one: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, Any]:
    if one["use_pickle"] is not False:
        raise Refused(f"holds '{name}' pickled")
    meta, member = one["tensor_meta"], one["path_name"]
    device = meta["device"]
    if member not in sizes or device.get("type") != "cpu" or device.get("index") is not None:
        raise Refused(f"looks for '{name}' outside of itself")
    shape, steps, (offset,) = (_numbers(v) for v in (meta["sizes"], meta["strides"], [meta["storage_offset"]]))
    has, width = sizes[member], _BYTES[meta["dtype"]]
    last = offset + sum((side - 1) * step for side, step in zip(shape, steps, strict=True))
    needs = 0 if 0 in shape else (last + 1) * width
    if meta["layout"] != _STRIDED or needs > has or has % width or math.prod(shape) * width > max(has, _EXPANDED):
        raise Refused(f"declares '{name}' as {'x'.join(map(str, shape)) or 'a number'}, out of {has} bytes")
    return {
        "path_name": member, "is_param": one["is_param"] is True, "use_pickle": False,
        "tensor_meta": {
            "dtype": meta["dtype"], "sizes": [{"as_int": side} for side in shape],
            "requires_grad": meta["requires_grad"] is True, "device": {"type": "cpu", "index": None},
            "strides": [{"as_int": step} for step in steps], "storage_offset": {"as_int": offset}, "layout": _STRIDED,
        },
    }  # fmt: skip


def _numbers(values: list[dict[str, Any]]) -> list[int]:
    """Return sizes that are written as ``{"as_int": 3}``."""
    found = [value["as_int"] for value in values]
    if not all(type(value) is int and 0 <= value < 2**48 for value in found):
        raise ValueError("sizes that are no whole numbers")
    return found
