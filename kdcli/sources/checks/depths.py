"""The metres of a source: their range, a histogram, and whether they grow the way depth does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from kdcli.sources.checks.paths import LISTED
from kdcli.types import Finding

EDGES: NDArray[np.float64] = 10.0 ** (np.arange(-20, 31) / 10)
"""Of the histogram, metres: ten bins for each power of ten, 1 cm to 1 km; the first and last also hold the rest."""

_MOST_HOLES = 0.97
"""KITTI's annotated depth has about 0.8: only clearly more is worth a word."""
_FEW = 4
_RISING, _MOSTLY = 0.35, 0.8
_KNOWN, _ROWS = 256, 32
"""Pixels and rows below which a map is an example rather than a measurement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """Of one depth map. least, most: metres of its valid pixels, None without any. holes: share of the others.

    some: valid numbers, evenly chosen. counts: pixels in each bin of ``EDGES``. slope: correlation of the logarithm of
    depth with the row, -1 where rows further down are nearer throughout; None where there is too little.
    """

    least: float | None
    most: float | None
    holes: float
    some: NDArray[np.float32]
    counts: NDArray[np.int64]
    slope: float | None = None


def values_of(depth_1hw: Tensor, valid_1hw: Tensor, known: NDArray[np.float32], kept: int) -> Values:
    """Return what one map is like. known: its valid numbers. kept: about the most of them to keep."""
    depth, valid = depth_1hw.numpy()[0], valid_1hw.numpy()[0]
    holes = 1 - known.size / max(1, depth.size)
    if not known.size:
        empty = np.zeros(len(EDGES) - 1, np.int64)
        return Values(least=None, most=None, holes=holes, some=known, counts=empty)
    inside = known.clip(EDGES[0], EDGES[-1] * (1 - 1e-6))
    return Values(
        least=float(known.min()), most=float(known.max()), holes=holes, some=known[:: max(1, known.size // kept)],
        counts=np.histogram(inside, EDGES)[0].astype(np.int64), slope=_slope(depth, valid),
    )


def _slope(depth: NDArray[np.float32], valid: NDArray[np.bool_]) -> float | None:
    step = max(1, int((depth.size / 1e4) ** 0.5))
    rows, columns = np.nonzero(valid[::step, ::step])
    far = depth[::step, ::step][rows, columns]
    if depth.shape[0] < _ROWS or far.size < _KNOWN or far.min() <= 0 or np.ptp(rows) == 0:
        return None
    logs = np.log(far.astype(np.float64))
    return float(np.corrcoef(rows, logs)[0, 1]) if np.ptp(logs) > 1e-6 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Depths:
    """Of a source: metres over the valid pixels, share of the others, share of the valid ones in each bin."""

    least: float
    median: float
    most: float
    holes: float
    histogram: tuple[tuple[float, float, float], ...]
    """(from, to, share) without empty ends."""

    def numbers(self) -> dict[str, float]:
        """Return range and holes by name."""
        return {"min": self.least, "median": self.median, "max": self.most, "holes": self.holes}


def depths(found: Sequence[Values]) -> Depths | None:
    """Return what the maps are like together; None where none has a valid pixel."""
    full = [one for one in found if one.least is not None and one.most is not None]
    if not full:
        return None
    counts = sum((one.counts for one in full), np.zeros(len(EDGES) - 1, np.int64))
    held = np.flatnonzero(counts)
    bins = range(int(held[0]), int(held[-1]) + 1)
    some = np.sort(np.concatenate([one.some for one in full]))
    return Depths(
        least=min(one.least for one in full if one.least is not None), median=float(some[(len(some) - 1) // 2]),
        most=max(one.most for one in full if one.most is not None),
        holes=sum(one.holes for one in found) / len(found),
        histogram=tuple(
            (float(f"{EDGES[i]:.4g}"), float(f"{EDGES[i + 1]:.4g}"), float(counts[i] / counts.sum())) for i in bins
        ),
    )


def about_depths(found: Sequence[Values], where: Sequence[tuple[str, str | None]]) -> list[Finding]:
    """Return what is suspicious: maps without any value, and holes that are nearly everything.

    where: what each map is called, and its file.
    """
    empty = [place for one, place in zip(found, where, strict=True) if one.least is None]
    if found and len(empty) == len(found):
        message = f"none of the {len(found)} depth maps read has a valid pixel; check the files and how they were made"
        return [Finding(level="error", message=message, path=empty[0][1])]
    findings = [
        Finding(
            level="warning", path=path,
            message=f"depth of '{name}' has no valid pixel; it teaches and measures nothing",
        )
        for name, path in empty[:LISTED]
    ]
    if len(empty) > LISTED:
        findings.append(Finding(level="warning", message=f"{len(empty) - LISTED} more depth maps have no valid pixel"))
    missing = sum(one.holes for one in found) / max(1, len(found))
    if missing > _MOST_HOLES:
        message = f"{missing:.1%} of the depth pixels have no value; check that this is the depth of these images"
        findings.append(Finding(level="warning", message=message))
    return findings


def about_slope(found: Sequence[Values]) -> list[Finding]:
    """Say that depth grows towards the bottom of the images, where floors and roads bring it nearer."""
    slopes = [one.slope for one in found if one.slope is not None]
    rising = sum(slope > 0 for slope in slopes)
    if len(slopes) < _FEW or sum(slopes) / len(slopes) < _RISING or rising < _MOSTLY * len(slopes):
        return []
    message = (
        f"depth grows towards the bottom of {rising} of {len(slopes)} images (correlation with the row "
        f"{sum(slopes) / len(slopes):+.2f}, usual is below 0): disparity, or depth upside down, looks like that"
    )
    return [Finding(level="warning", message=message)]
