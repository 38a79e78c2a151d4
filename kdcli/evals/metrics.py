"""The nine depth metrics, per image: over lists of the pixels that count on a CPU, as batched maps elsewhere.

With prediction p, ground truth g, d = ln p - ln g, and means over the counted pixels of one image:

- ``abs_rel``   mean |p - g| / g
- ``sq_rel``    mean (p - g)^2 / g, metres
- ``rmse``      root of mean (p - g)^2, metres
- ``rmse_log``  root of mean d^2, natural logarithm
- ``log10``     mean |log10 p - log10 g|
- ``silog``     100 times the root of (mean d^2 - (mean d)^2): the full variance, as on the KITTI server and in BTS and
  AdaBins. Others halve the second term or leave out the factor under the same label.
- ``delta1..3`` share of pixels with max(p/g, g/p) < 1.25, 1.25^2, 1.25^3
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from kdcli.evals.blocks import nine
from kdcli.evals.listed import by_lists, numbers, positions

NAMES = ("abs_rel", "sq_rel", "rmse", "rmse_log", "log10", "silog", "delta1", "delta2", "delta3")
"""Order of the columns everywhere."""

HIGHER_IS_BETTER = frozenset({"delta1", "delta2", "delta3"})
"""Of all others less is better."""


def per_image(
    prediction_B1HW: Tensor, target_B1HW: Tensor, valid_B1HW: Tensor, *, delta_inclusive: bool = False
) -> tuple[Tensor, Tensor]:
    """Return the metrics of each image, B x 9 float64, and the number of counted pixels, B int64.

    prediction, target: depth, positive where valid. Terms are made in float32, as published code does, so that ties
    at a ratio of exactly 1.25 fall on the same side; sums are float64. An image without a counted pixel gets NaN: it
    is the caller's to name it, nothing is repaired here.
    """
    if by_lists(prediction_B1HW.device):
        return _of_lists(prediction_B1HW, target_B1HW, valid_B1HW, delta_inclusive)
    return of_maps(prediction_B1HW, target_B1HW, valid_B1HW, delta_inclusive=delta_inclusive)


def of_maps(
    prediction_B1HW: Tensor, target_B1HW: Tensor, valid_B1HW: Tensor, *, delta_inclusive: bool = False
) -> tuple[Tensor, Tensor]:
    """Return what ``per_image`` does, by operations on whole maps: nothing here waits for a GPU."""
    valid = valid_B1HW.flatten(1)
    # A neutral value where nothing is counted keeps logarithms and ratios finite there.
    p = torch.where(valid, prediction_B1HW.flatten(1), 1.0)
    g = torch.where(valid, target_B1HW.flatten(1), 1.0)
    pixels = valid.sum(1)

    def mean(term_BN: Tensor) -> Tensor:
        return torch.where(valid, term_BN, 0).sum(1, dtype=torch.float64) / pixels

    error = p - g
    square = error.square()
    log = p.log() - g.log()
    ratio = torch.maximum(p / g, g / p)
    log_square = mean(log.double().square())
    # Rounding can take a variance of zero a hair below zero; NaN stays NaN.
    variance = (log_square - mean(log).square()).clamp(min=0)

    def within(threshold: float) -> Tensor:
        return mean(ratio <= threshold if delta_inclusive else ratio < threshold)

    columns = (
        mean(error.abs() / g),
        mean(square / g),
        mean(square).sqrt(),
        log_square.sqrt(),
        mean(log.abs()) / math.log(10),
        100 * variance.sqrt(),
        *(within(1.25**power) for power in (1, 2, 3)),
    )
    return torch.stack(columns, dim=1), pixels


def _of_lists(prediction: Tensor, target: Tensor, valid: Tensor, inclusive: bool) -> tuple[Tensor, Tensor]:
    rows, counts = [], []
    for p, g, v in zip(prediction, target, valid, strict=True):
        mask = v.reshape(-1).numpy()
        at = slice(None) if mask.all() else positions(mask)
        mine, true = (numbers(one)[at] for one in (p, g))
        rows.append(nine(mine, true, delta_inclusive=inclusive)[0])
        counts.append(len(true))
    return torch.from_numpy(np.array(rows).reshape(-1, len(NAMES))), torch.tensor(counts, dtype=torch.int64)
