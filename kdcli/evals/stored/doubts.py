"""Signs that predictions on disk are not what was said of them: far taken for near, another unit, turned maps.

None is proof, and nothing is changed; but numbers that nobody doubts would stand in a table.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from kdcli.evals.fits import middle
from kdcli.types import DepthKind

Numbers = NDArray[np.floating]

_LOOKED_AT = 2000
"""Pixels of an image that are looked at, evenly spread over those that count."""
_FEW = 20
"""Pixels below which an image tells nothing."""
_AGAINST = -0.3
"""Rank correlation with true depth below which far and near are not merely confused."""
_MOST = 0.75
"""Share of the images that have to agree."""
_OFF = 2.5
"""Times the truth from which on a unit is doubted, and its reciprocal."""
_FITS = 1.3
"""Times that depth may be off in a unit that is named instead."""
_SWAPPED = {
    False: ("are the larger the nearer things are", "affine_disparity"),
    True: ("are the larger the farther things are", "affine_depth, scale_invariant or metric"),
}
"""What is seen, and what it may be, by whether inverse depth was said."""
_SCALES = (1.0, 100.0, 256.0, 512.0, 1000.0, 5000.0)
"""Stored units per metre that are common."""


@dataclass(slots=True)
class Doubts:
    """What was seen of the images of one evaluation. turned: how many maps have height and width exchanged."""

    turned: int = 0
    _ranks: list[float] = field(default_factory=list)
    _ratios: list[float] = field(default_factory=list)

    def look(self, said_B1HW: Tensor, kind: DepthKind, truth_B1HW: Tensor, counted_B1HW: Tensor) -> None:
        """Look at a batch. said: numbers of a kind, of the shape of the truth. counted: where both are known."""
        for said, truth, counted in zip(said_B1HW, truth_B1HW, counted_B1HW, strict=True):
            self._look(said, kind, truth, counted)

    def _look(self, said: Tensor, kind: DepthKind, truth: Tensor, counted: Tensor) -> None:
        at = counted.reshape(-1).nonzero().reshape(-1)
        at = at[:: max(1, len(at) // _LOOKED_AT)]
        ours, true = (one.reshape(-1)[at].double().cpu().numpy() for one in (said, truth))
        known = np.isfinite(ours)
        ours, true = ours[known], true[known]
        if len(ours) < _FEW:
            return
        self._ranks.append(_rank_correlation(-ours if kind.is_disparity else ours, true))
        if kind is DepthKind.METRIC and (here := middle(ours)) > 0:
            self._ratios.append(here / middle(true))

    def notes(self, kind: DepthKind, scale: float | None) -> tuple[str, ...]:
        """Return what a reader has to know; ``{}`` stands for the model's name.

        scale: units per metre that were taken; None where another one could not be said.
        """
        said = []
        if self.turned:
            said.append(f"warning: {{}}: {self.turned} of its maps have height and width of their pictures exchanged; "
                        "store height x width")
        ranks = [rank for rank in self._ranks if math.isfinite(rank)]
        if ranks and sum(ranks) / len(ranks) < _AGAINST and _share(rank < 0 for rank in ranks) >= _MOST:
            does, other = _SWAPPED[kind.is_disparity]
            said.append(f"warning: {{}}: its numbers {does} (rank correlation {-sum(ranks) / len(ranks):.2f}), and it "
                        f"is read as {kind}; is it kind={other}?")
        elif off := _off(self._ratios):
            times = f"{off:.3g}" if off < 1 / _OFF else f"{off:.1f}" if off < 100 else f"{off:.0f}"
            advice = "" if scale is None else f"; if that is the unit, give scale={_advice(off, scale)}"
            said.append(f"warning: {{}}: its depth is {times} times the truth in the middle of images{advice}")
        return tuple(said)


def _rank_correlation(one: Numbers, other: Numbers) -> float:
    """Return how much two lists of numbers go up together, -1..1; NaN where either is all the same."""
    ranks = []
    for values in (one, other):
        _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
        ends = np.cumsum(counts)
        ranks.append((ends - (counts - 1) / 2)[inverse])  # equal numbers share the mean of their places
    centred = [rank - rank.mean() for rank in ranks]
    spread = math.sqrt(float(centred[0] @ centred[0]) * float(centred[1] @ centred[1]))
    return float(centred[0] @ centred[1]) / spread if spread else math.nan


def _off(ratios: list[float]) -> float | None:
    """Return how many times the truth depth is, where that is much and most images say so."""
    if not ratios:
        return None
    off = middle(np.array(ratios))
    if 1 / _OFF < off < _OFF or _share(off / 2 < ratio < off * 2 for ratio in ratios) < _MOST:
        return None
    return off


def _advice(off: float, scale: float) -> str:
    """Return the units per metre that would be right, a common number where one fits."""
    right = scale * off
    near = min(_SCALES, key=lambda one: abs(math.log(right / one)))
    fits = max(near / right, right / near) <= _FITS
    return f"{near:g} (with which it is {right / near:.2f} times)" if fits else f"{right:.4g}"


def _share(told: Iterable[bool]) -> float:
    found = list(told)
    return sum(found) / len(found)
