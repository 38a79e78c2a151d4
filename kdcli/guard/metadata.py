"""Metadata of exported files: texts that anybody can have written, read as the values they stand for."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kdcli.made_for import read
from kdcli.types import MadeFor


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


def made_for_of(metadata: Mapping[str, str], size: tuple[int, int] | None) -> MadeFor | None:
    """Return what the model in a file was made for; older files tell the size of training alone. None where that is
    not said.

    size: height and width that the file fixes; None where it takes any.

    Raises:
        ValueError: it is damaged; the message is half a sentence.
    """
    if "made_for" in metadata:
        made = read(value_of(metadata["made_for"]))
    elif "trained_size" in metadata:
        trained = value_of(metadata["trained_size"])
        made = read({"train_size": trained, "eval_size": trained})
    else:
        return None
    return made if size is None else replace(made, eval_size=size, fit="stretch")


def count_of(text: str | None) -> int | None:
    """Return a number of things that is written out, None where it is none."""
    found = value_of(text or "")
    return found if type(found) is int and found > 0 else None
