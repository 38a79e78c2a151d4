"""The nine metrics over lists of numbers on a CPU: one pass, in blocks that stay in its cache.

Terms are of the numbers' own precision, as in published code, and every sum is one of float64.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from kdcli.evals.listed import Floats

_BLOCK = 32768
"""Pixels that are worked on together: about 0.8 MB, which a core's own cache holds; halved, the calls would count."""
_THRESHOLDS = tuple(1.25**power for power in (1, 2, 3))


def nine(prediction: Floats, truth: Floats, *, delta_inclusive: bool = False) -> NDArray[np.float64]:
    """Return the metrics of one image in the order of ``kdcli.evals.metrics.NAMES``; NaN without a pixel.

    prediction, truth: depth of the pixels that count, N each. Terms and sums as in ``kdcli.evals.metrics.per_image``.
    """
    count = len(truth)
    if not count:
        return np.full(9, np.nan)
    relative = square_relative = square = log_square = log = log_size = 0.0
    within = [0, 0, 0]
    size, kind = min(count, _BLOCK), np.result_type(prediction, truth)
    one, two = np.empty(size, kind), np.empty(size, kind)
    wide, held = np.empty(size), np.empty(size, np.bool_)
    inside = np.less_equal if delta_inclusive else np.less
    # A prediction that is not finite is the caller's to name.
    with np.errstate(all="ignore"):
        for begin in range(0, count, _BLOCK):
            p, g = prediction[begin : begin + _BLOCK], truth[begin : begin + _BLOCK]
            here = len(g)
            a, b, d, on = one[:here], two[:here], wide[:here], held[:here]

            np.subtract(p, g, out=a)
            np.abs(a, out=b)
            np.divide(b, g, out=b)
            np.copyto(d, b)
            relative += float(d.sum())
            np.square(a, out=a)
            np.copyto(d, a)
            square += float(d.sum())
            np.divide(a, g, out=a)
            np.copyto(d, a)
            square_relative += float(d.sum())

            np.log(p, out=a)
            np.log(g, out=b)
            np.subtract(a, b, out=a)
            np.copyto(d, a)
            log_square += float(d.dot(d))
            log += float(d.sum())
            np.abs(d, out=d)
            log_size += float(d.sum())

            # The larger over the smaller is the larger of both ratios, to the last bit.
            np.maximum(p, g, out=a)
            np.minimum(p, g, out=b)
            np.divide(a, b, out=a)
            for i, threshold in enumerate(_THRESHOLDS):
                within[i] += int(np.count_nonzero(inside(a, kind.type(threshold), out=on)))
    # Rounding can take a variance of zero a hair below zero; NaN stays NaN.
    variance = log_square / count - (log / count) ** 2
    variance = 0.0 if variance < 0 else variance
    return np.array((
        relative / count, square_relative / count, math.sqrt(square / count), math.sqrt(log_square / count),
        log_size / count / math.log(10), 100 * math.sqrt(variance), *(number / count for number in within),
    ))  # fmt: skip
