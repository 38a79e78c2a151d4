"""Whether image and depth of a source show the same: a verdict over its images, slow to accuse.

A few images may agree by chance, or not agree for lack of edges. So another place or turn than the right one is named
only where it explains the images clearly better than chance and about twice as well as the right one; the fewer
images, the more it takes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kdcli.sources.checks.edges import TURNS, Agreement
from kdcli.types import Finding

COMPARED = 32
"""Most images that are compared; more say nothing new."""

_CLEAR, _FOR_ONE = 2.5, 3.0
"""An agreement is clear from the first plus the second over the root of the number of images."""
_PEAK, _HIGH_PEAK, _FEW_PEAK = 6.0, 9.0, 7.0
"""The same of the best shift, whose surface is summed over the images: the least, from which on less of a difference
says as much, and the least of fewer than four images."""
_MUCH_BETTER, _BETTER = 2.0, 1.6
_SURE = 3.0
"""Standard errors by which it must be better, image by image."""
_BESIDE = 1
"""Cells around a shift that count as the same one."""
_LEAST_SHIFT = 0.015
_ENOUGH = 8
"""Images from which on the lack of any agreement is worth a word."""
_CHANCE = 0.5
_UPPER, _LOWER = 8.0, -4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What was found. images: how many could be compared. agreement: mean for each turn, in standard deviations.

    shift: down and to the right, as shares of height and width, by which depth lies too low and too far right where it
    agrees best; at_shift, at_place: agreement there, and where it is. verdict: ``fits``, ``shifted``, a key of
    ``TURNS``, ``unrelated``, or ``unknown`` where there is too little to tell.
    """

    images: int
    agreement: dict[str, float]
    shift: tuple[float, float] = (0.0, 0.0)
    at_shift: float = 0.0
    at_place: float = 0.0
    verdict: str = "unknown"

    def document(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "images": self.images, "verdict": self.verdict,
            "agreement": {name: round(value, 3) for name, value in self.agreement.items()},
            "best_shift": {"down": round(self.shift[0], 4), "right": round(self.shift[1], 4)},
            "agreement_at_best_shift": round(self.at_shift, 3), "agreement_at_place": round(self.at_place, 3),
        }

    def findings(self) -> list[Finding]:
        """Say what does not fit."""
        look = "look at it with: kdcli data show SPEC --out FILE.png --edges"
        if self.verdict in ("fits", "unknown"):
            return []
        if self.verdict == "shifted":
            down, right = self.shift
            parts = [(down, "height", "low", "high"), (right, "width", "far right", "far left")]
            where = " and ".join(
                f"{abs(by):.1%} of the {side} too {plus if by > 0 else minus}"
                for by, side, plus, minus in parts if abs(by) >= _LEAST_SHIFT
            )
            said = (
                f"depth lies {where}: edges of {self.images} images agree {self.at_shift:.1f} standard deviations "
                f"there, {self.at_place:.1f} where depth is now"
            )
        elif self.verdict == "unrelated":
            said = (
                f"edges of image and depth agree no better than chance in {self.images} images; these may be depth "
                "maps of other images"
            )
        else:
            said = (
                f"depth is {self.verdict}: edges of {self.images} images agree {self.agreement[self.verdict]:.1f} "
                f"standard deviations that way, {self.agreement['as it is']:.1f} as it is"
            )
        return [Finding(level="warning", message=f"{said}; {look}")]


def registered(found: Sequence[Agreement]) -> Registration | None:
    """Return what the agreements of a source's images say together; None without any."""
    if not found:
        return None
    count = len(found)
    names = list(TURNS)[: min(len(one.turns) for one in found)]
    turns = torch.tensor([one.turns[: len(names)] for one in found], dtype=torch.float64)
    means = turns.mean(0)
    best = int(means.argmax())
    cells = max((one.cells for one in found), key=[one.cells for one in found].count)
    same = [one.shifts for one in found if one.cells == cells]
    shift, at_shift, at_place, steady = _best_shift(same, cells)
    verdict = "unknown"
    if best and _better(turns[:, best], turns[:, 0]):
        verdict = names[best]
    elif steady and _off(shift, at_shift, at_place, count):
        verdict = "shifted"
    elif float(means[0]) >= _wanted(count) or at_place >= _PEAK:
        verdict = "fits"
    elif count >= _ENOUGH and float(means[0] - means[1:].mean()) < _CHANCE and at_shift < _PEAK:
        verdict = "unrelated"
    return Registration(
        images=count, agreement=dict(zip(names, means.tolist(), strict=True)), shift=shift, at_shift=at_shift,
        at_place=at_place, verdict=verdict,
    )


def _wanted(count: int) -> float:
    return _CLEAR + _FOR_ONE / math.sqrt(count)


def _better(other: Tensor, own: Tensor) -> bool:
    """Whether agreements of images under another turn are clear, and clearly better than their own."""
    count = len(own)
    mean, gain = float(other.mean()), other - own
    if mean < _wanted(count) or mean < _MUCH_BETTER * float(own.mean()):
        return False
    return count < 3 or float(gain.mean()) > _SURE * float(gain.std()) / count**0.5


def _best_shift(surfaces: Sequence[Tensor], cells: tuple[int, int]) -> tuple[tuple[float, float], float, float, bool]:
    """Return where the sum of surfaces is highest, how high there and in the middle, and whether halves agree on it."""
    whole, halves = _summed(surfaces), [_summed(surfaces[i::2]) for i in (0, 1) if surfaces[i::2]]
    row, column = _highest(whole)
    down, across = whole.shape[0] // 2, whole.shape[1] // 2
    middle = whole[down - _BESIDE : down + _BESIDE + 1, across - _BESIDE : across + _BESIDE + 1]
    steady = all(max(abs(r - row), abs(c - column)) <= 2 * _BESIDE for r, c in map(_highest, halves))
    shift = (row - down) / cells[0], (column - across) / cells[1]
    return shift, float(whole[row, column]), float(middle.max()), steady


def _summed(surfaces: Sequence[Tensor]) -> Tensor:
    """Return the mean of surfaces, none of which counts for too much, in its own standard deviations."""
    total = torch.stack([surface.clamp(_LOWER, _UPPER) for surface in surfaces]).double().mean(0)
    return (total - total.mean()) / total.std().clamp(min=1e-9)


def _highest(surface: Tensor) -> tuple[int, int]:
    row, column = divmod(int(surface.argmax()), surface.shape[1])
    return row, column


def _off(shift: tuple[float, float], there: float, here: float, count: int) -> bool:
    """Whether depth lies elsewhere; edges are wide, so that they agree a little a few cells beside their place."""
    least = _PEAK if count > 3 else _FEW_PEAK
    much = _BETTER if there >= _HIGH_PEAK else _MUCH_BETTER
    return max(map(abs, shift)) >= _LEAST_SHIFT and there >= least and there >= much * here
