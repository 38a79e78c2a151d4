"""What of a map a file can hold: numbers that are none, that lie below its first step, and beyond its last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kdcli.errors import DataError

LAST = 65534
"""Largest number that is stored; 0 and 65535 mean no value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A map as 16-bit numbers, ``value = units * step + offset``, and what became of the values.

    units: H x W float64, whole, 0 for no value. minimum, maximum: of the file, in the unit of the map; None where it
    holds no value. saturated: pixels beyond the last step, which stand in the file as the last one. not_positive:
    pixels at or below 0 that a file of positive numbers leaves out.
    """

    units: Tensor
    step: float
    offset: float
    minimum: float | None
    maximum: float | None
    saturated: int = 0
    not_positive: int = 0

    def facts(self) -> dict[str, Any]:
        """Return what a sidecar says of it."""
        return {
            "step": self.step, "offset": self.offset, "minimum": self.minimum, "maximum": self.maximum,
            "saturated": self.saturated, "not_positive": self.not_positive,
        }  # fmt: skip


def ends(values_HW: Tensor, valid_HW: Tensor) -> tuple[float | None, float | None]:
    """Return the least and the greatest valid value, None where there is no valid pixel."""
    known = values_HW[valid_HW].double()
    return (float(known.min()), float(known.max())) if known.numel() else (None, None)


def positive(values_HW: Tensor, valid_HW: Tensor, step: float) -> Held:
    """Hold values above 0 in steps that are given, from one step on: metric depth."""
    values = values_HW.double()
    known = valid_HW & (values > 0)
    units = (values / step).round()
    saturated = known & (units > LAST)
    # A valid pixel must not turn into a hole, however near it is.
    units = units.clamp(1, LAST).where(known, units.new_zeros(()))
    low, high = ends(values, known)
    return Held(
        units=units, step=step, offset=0.0, saturated=int(saturated.sum()),
        minimum=None if low is None else max(low, step), maximum=None if high is None else min(high, LAST * step),
        not_positive=int((valid_HW & ~known).sum()),
    )  # fmt: skip


def from_zero(values_HW: Tensor, valid_HW: Tensor, step: float | None) -> Held:
    """Hold values from 0 on, which is a value and no hole, in a given step or in one that the largest just fits."""
    values = values_HW.double()
    low, high = ends(values, valid_HW)
    step = max(high or 0.0, 1e-9) / (LAST - 1) if step is None else step
    units = (values / step).round()
    saturated = valid_HW & (units > LAST - 1)
    units = (units.clamp(0, LAST - 1) + 1).where(valid_HW, units.new_zeros(()))
    return Held(
        units=units, step=step, offset=-step, saturated=int(saturated.sum()),
        minimum=low, maximum=None if high is None else min(high, (LAST - 1) * step),
    )  # fmt: skip


def spread(values_HW: Tensor, valid_HW: Tensor) -> Held:
    """Spread the range of values without a unit over all steps."""
    values = values_HW.double()
    low, high = ends(values, valid_HW)
    first = 0.0 if low is None else low
    step = max((high or 0.0) - first, 1e-9) / (LAST - 1)
    units = ((values - first) / step).round().clamp(0, LAST - 1) + 1
    units = units.where(valid_HW, units.new_zeros(()))
    return Held(units=units, step=step, offset=first - step, minimum=low, maximum=high)


def require_some(values_HW: Tensor, valid_HW: Tensor, lost: int, *, above_zero: bool) -> None:
    """Refuse a prediction of which no file could hold anything.

    lost: pixels where the model says something that is not finite. above_zero: whether only positive numbers count.

    Raises:
        DataError: not one pixel that is finite, or above 0.
    """
    if lost and not valid_HW.any():
        raise DataError(f"the prediction is not finite at any of {lost} pixels; nothing is written")
    if above_zero and valid_HW.any() and not bool((values_HW[valid_HW] > 0).any()):
        most = float(torch.max(values_HW[valid_HW]))
        raise DataError(f"the prediction is at or below 0 m at every pixel, at most {most:.4g}; nothing is written")
