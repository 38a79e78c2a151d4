"""Metadata of exported files: texts that anybody can have written, read as the values they stand for."""

from __future__ import annotations

import json
import math
from typing import Any


def value_of(text: str) -> Any:
    """Return what a text says as JSON; the text itself where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def range_of(text: str | None) -> tuple[float, float] | None:
    """Return a range of depth that is written as ``[low, high]``, None where it is none."""
    found = value_of(text or "")
    try:
        low, high = (float(bound) for bound in found)
    except (ValueError, TypeError, OverflowError):
        return None
    return (low, high) if 0 <= low < high and math.isfinite(high) else None


def count_of(text: str | None) -> int | None:
    """Return a number of things that is written out, None where it is none."""
    found = value_of(text or "")
    return found if type(found) is int and found > 0 else None
