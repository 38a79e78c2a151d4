"""Sparsification: the error that is left when the least certain pixels are removed.

Pixels of an image are removed in steps of 5 %, the least certain first, and the error of the others is drawn as a share
of that of all. The oracle removes the largest errors first, chance leaves the error as it is. With them (Ilg et al.,
Uncertainty Estimates and Multi-Hypotheses Networks for Optical Flow, ECCV 2018; the gain as in Poggi et al., On the
Uncertainty of Self-Supervised Monocular Depth Estimation, CVPR 2020):

- AUSE, area under the sparsification error: between the model's curve and the oracle's; 0 is perfect, less is better.
- AURG, area under the random gain: between chance and the model's curve; 0 is chance, more is better.

Areas are over the share removed, 0 to 0.95, by trapezoids. Only the order of the uncertainties counts, so none of this
says whether their size is right. Equally uncertain pixels share their mean error: no order among them is invented.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

STEPS = 20
REMOVED = tuple(i / STEPS for i in range(STEPS))
"""Shares of the pixels that are removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The pixels of each image from certain to uncertain.

    index: B x N positions, pixels that do not count last. group: B x N, equal where uncertainties are. counted: B.
    """

    index: Tensor
    group: Tensor
    counted: Tensor


def order(uncertainty_BN: Tensor, valid_BN: Tensor) -> Order:
    """Sort the pixels of each image; a not-a-number counts as most uncertain."""
    most = torch.finfo(uncertainty_BN.dtype).max
    known = uncertainty_BN.nan_to_num(nan=most, posinf=most)
    ranked, index = torch.where(valid_BN, known, torch.inf).sort(dim=1)
    group = torch.zeros_like(index)
    group[:, 1:] = (ranked[:, 1:] != ranked[:, :-1]).cumsum(1)
    return Order(index=index, group=group, counted=valid_BN.sum(1))


def remaining(error_BN: Tensor, by: Order) -> Tensor:
    """Return the mean error of what is left at each of ``REMOVED``, B x F float64; NaN where nothing counts."""
    inside = torch.arange(error_BN.shape[1], device=error_BN.device) < by.counted[:, None]
    ranked = torch.where(inside, error_BN.gather(1, by.index).double(), 0)
    sums = torch.zeros_like(ranked).scatter_add_(1, by.group, ranked)
    sizes = torch.zeros_like(ranked).scatter_add_(1, by.group, inside.double())
    shared = sums.gather(1, by.group) / sizes.gather(1, by.group).clamp(min=1)
    cumulated = torch.where(inside, shared, 0).cumsum(1)
    # Whole numbers: a share times a count is rarely exact, and never takes the last pixel.
    steps = torch.arange(STEPS, device=error_BN.device)
    kept = by.counted[:, None] - by.counted[:, None] * steps // STEPS
    return cumulated.gather(1, (kept - 1).clamp(min=0)) / kept


def relative(curve_BF: Tensor) -> Tensor:
    """Return curves as shares of their beginning; an image without error has flat ones."""
    begin = curve_BF[:, :1]
    return torch.where(begin > 0, curve_BF / torch.where(begin > 0, begin, 1), torch.ones_like(curve_BF))


def area(curve_BF: Tensor) -> Tensor:
    """Return the area under curves over the share removed, B."""
    return torch.trapezoid(curve_BF, dx=1 / STEPS, dim=1)
