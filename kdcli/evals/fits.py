"""Median and least squares over lists of numbers on a CPU, without a sort and in one pass."""

from __future__ import annotations

import math

import numpy as np

from kdcli.evals.listed import Floats, positions

_BLOCK = 8192
"""Numbers that are worked on together: what they become stays in a core's own cache, and no product of them is worth
several threads to a linear algebra library."""
_DRAWN = 12
"""Of so many numbers one is sorted first, of some 4096 in all at most."""
_ASIDE = 2.0
"""Times the root of how many those are: the ranks on either side of their middle between which that of all is looked
for. Four standard deviations."""
_FLAT = 1e-7
"""Below float32 resolution a spread is rounding, and a fit to it would be noise."""


def middle(values: Floats) -> float:
    """Return the median of N numbers, in their own precision; the mean of the middle two if N is even; NaN if N is 0.

    Selection and not a sort: of the middle two the upper is found by partition, the lower is the greatest on its left.
    Of many numbers a few are sorted first, and what lies far from the middle of these is put aside.
    """
    count = len(values)
    if not count:
        return float("nan")
    found, rank = values, count // 2
    if count > 4096:
        found, aside = _near_the_middle(values)
        # A few of numbers in an order of their own may tell nothing of the others: then none is put aside.
        found, rank = (found, rank - aside) if 1 <= rank - aside < len(found) else (values, rank)
    halved = np.partition(found, rank)
    upper = halved[rank]
    # A NaN counts as larger than all others, as in a sort; on the left of the middle there is none then.
    lower = upper if count % 2 else halved[:rank].max()
    return float((lower + upper) / 2)


def _near_the_middle(values: Floats) -> tuple[Floats, int]:
    """Return the numbers about where the middle ought to be, and how many lie below them."""
    drawn = np.sort(values[:: drawn_from(len(values))])
    aside = int(_ASIDE * math.sqrt(len(drawn)))
    low, high = drawn[len(drawn) // 2 - aside], drawn[len(drawn) // 2 + aside]
    below, within = values < low, values <= high
    return values[positions(within & ~below)], int(np.count_nonzero(below))


def drawn_from(count: int) -> int:
    """Return of how many numbers one is drawn; odd, so that rows of an even length are not met in the same columns."""
    return max(_DRAWN, count // 4096) | 1


def line(x: Floats, y: Floats) -> tuple[float, float]:
    """Return the factor and offset that bring N numbers x nearest to y in least squares, found in float64.

    One pass: sums are taken about the means of the first block, which are near enough to all others' that nothing is
    lost. Numbers that are all the same get factor 0; no numbers get NaN.
    """
    count = len(x)
    if not count:
        return float("nan"), float("nan")
    about_x, about_y = (float(some[:_BLOCK].mean(dtype=np.float64)) for some in (x, y))
    sum_x = sum_y = square = product = 0.0
    wide = np.empty((2, min(count, _BLOCK)))
    with np.errstate(all="ignore"):  # a prediction that is not finite is the caller's to name
        for begin in range(0, count, _BLOCK):
            end = min(begin + _BLOCK, count)
            u, v = wide[0, : end - begin], wide[1, : end - begin]
            np.subtract(x[begin:end], about_x, out=u, dtype=np.float64)
            np.subtract(y[begin:end], about_y, out=v, dtype=np.float64)
            sum_x += float(u.sum())
            sum_y += float(v.sum())
            square += float(u.dot(u))
            product += float(u.dot(v))
        variance = square - sum_x * sum_x / count
        covariance = product - sum_x * sum_y / count
        mean_x, mean_y = about_x + sum_x / count, about_y + sum_y / count
        rounding = _FLAT * mean_x
        flat = variance <= count * rounding * rounding
        scale = 0.0 if flat else covariance / variance
    return scale, mean_y - scale * mean_x
