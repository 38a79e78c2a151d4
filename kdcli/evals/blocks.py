"""The nine metrics over lists of numbers on a CPU: one pass, in blocks that stay in its cache.

Terms are of the numbers' own precision, as in published code, and sums are of float64. In a list of thousands three
things are done with fewer operations, which change a metric by about a hundred-millionth of it: ln p - ln g is ln p/g,
(p - g)/g is p/g - 1, and 512 terms at a time are added before they become float64, by BLAS. Ratios, and so ties at
1.25, are the same in all.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdcli.evals.listed import Floats, ends

_BLOCK = 49152
"""Pixels that are worked on together: with all that is made of them 1 MB, which a core's own cache holds. The fewer,
the more the calls themselves would count."""
_ADDED = 512
"""Terms that are added in their own precision."""
_MANY = 4096
"""Terms from which on the rounding of one of them no longer shows."""
_THRESHOLDS = tuple(1.25**power for power in (1, 2, 3))


def nine(
    prediction: Floats, truth: Floats, limits: tuple[float, float | None] | None = None, *,
    delta_inclusive: bool = False,
) -> tuple[NDArray[np.float64], bool]:
    """Return the metrics of one image in the order of ``kdcli.evals.metrics.NAMES``; NaN without a pixel.

    Also whether the prediction is finite everywhere, before it is clipped. prediction, truth: depth of the pixels that
    count, N each, or rows of them, which need not lie together. limits: what the prediction is clipped to. The formulas
    are those of ``kdcli.evals.metrics``.
    """
    count, finite = truth.size, True
    if not count:
        return np.full(9, np.nan), finite
    relative = square_relative = square = log_square = log = log_size = 0.0
    within, few = [0, 0, 0], count < _MANY
    kind, row = np.result_type(prediction, truth), truth[0].size
    step = max(1, _BLOCK // row)
    most = min(step, len(truth)) * row
    rooms = [np.empty(most + _ADDED, kind) for _ in range(4 if truth.ndim > 1 else 3)]
    held = np.empty(most, np.bool_)
    inside = np.less_equal if delta_inclusive else np.less
    thresholds = [kind.type(threshold) for threshold in _THRESHOLDS]
    # A prediction that is not finite is the caller's to name.
    with np.errstate(all="ignore"):
        for begin in range(0, len(truth), step):
            p, g = prediction[begin : begin + step], truth[begin : begin + step]
            size = g.size
            (a, b, c, *more), on = (room[:size] for room in rooms), held[:size]
            p, g = _flat(p, c), _flat(g, *more)
            nearest, farthest = ends(p)
            finite &= bool(np.isfinite(nearest) & np.isfinite(farthest))
            if limits is not None and not _within(nearest, farthest, limits):
                p = np.clip(p, *limits, out=c)

            logs = np.log(p) - np.log(g) if few else c
            np.subtract(p, g, out=a)
            np.divide(g, p, out=b)
            np.divide(p, g, out=c)  # in the place of p, where that was copied
            np.maximum(b, c, out=b)
            for i, threshold in enumerate(thresholds):
                within[i] += int(np.count_nonzero(inside(b, threshold, out=on)))

            np.divide(a, g, out=b) if few else np.subtract(c, 1, out=b)
            logs = logs if few else np.log(c, out=c)
            if not few:  # up to a whole number of additions
                a, b, logs = (_filled(room, size) for room in rooms[:3])
            square += _sum(a, a, few)
            square_relative += _sum(a, b, few)
            relative += _sum(np.abs(b, out=b), None, few)
            log += _sum(logs, None, few)
            log_square += _sum(logs, logs, few)
            log_size += _sum(np.abs(logs, out=logs), None, few)
    # Rounding can take a variance of zero a hair below zero; NaN stays NaN.
    variance = log_square / count - (log / count) ** 2
    variance = 0.0 if variance < 0 else variance
    values = np.array((
        relative / count, square_relative / count, math.sqrt(square / count), math.sqrt(log_square / count),
        log_size / count / math.log(10), 100 * math.sqrt(variance), *(number / count for number in within),
    ))  # fmt: skip
    return values, finite


def _within(nearest: np.floating, farthest: np.floating, limits: tuple[float, float | None]) -> bool:
    """Whether clipping would change nothing; NaN is within no limits."""
    return bool(nearest >= limits[0] and (farthest <= limits[1] if limits[1] is not None else farthest == farthest))


def _flat(values: Floats, *room: Floats) -> Floats:
    """Return numbers in one row: rows of a larger map are copied to the room, all further steps are faster for it."""
    if values.ndim == 1:
        return values
    if not values.flags.c_contiguous:
        np.copyto(room[0].reshape(values.shape), values)
        return room[0]
    return values.reshape(-1)


def _filled(room: Floats, size: int) -> Floats:
    """Return the first numbers of a buffer and as many zeros as make that a whole number of additions."""
    whole = size + -size % _ADDED
    room[size:whole] = 0
    return room[:whole]


def _sum(terms: Floats, factors: Floats | None, few: bool) -> float:
    """Return the sum of terms, or of products, in float64; of many, some are added in their own precision first."""
    if few:
        added = terms if factors is None else np.multiply(terms, factors, dtype=np.float64)
    elif factors is None:
        added = terms.reshape(-1, _ADDED) @ _ones(terms.dtype)
    else:
        added = np.vecdot(terms.reshape(-1, _ADDED), factors.reshape(-1, _ADDED))
    return float(np.add.reduce(added, dtype=np.float64))


@cache
def _ones(kind: np.dtype[Any]) -> Floats:
    return np.ones(_ADDED, kind)
