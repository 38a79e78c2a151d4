"""Operators that bring an axis down to one number, or weigh along it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor


def _over(compute: Callable[[Tensor, list[int], bool], Tensor]) -> Callable[..., Tensor]:
    def run(x: Tensor, axes: Tensor | None = None, keep_dims: bool = False) -> Tensor:
        return compute(x, list(range(x.ndim)) if axes is None else [int(one) for one in axes], keep_dims)

    return run


def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """Exponentials as shares of their sum; the largest is taken off first, which changes nothing but overflow."""
    raised = torch.exp(x - x.amax(axis, keepdim=True))
    return raised / raised.sum(axis, keepdim=True)


def reduce_argmax(x: Tensor, axis: int = -1, keep_dims: bool = False) -> Tensor:
    """Where the largest number is."""
    return x.argmax(axis, keepdim=keep_dims)


def cumsum(x: Tensor, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> Tensor:
    """Sums of what came before along an axis, itself included or not."""
    turned = x.flip(axis) if reverse else x
    summed = turned.cumsum(axis)
    summed = summed - turned if exclusive else summed
    return summed.flip(axis) if reverse else summed


TABLE: Mapping[str, Callable[..., Any]] = {
    "reduce_mean": _over(lambda x, axes, keep: x.mean(axes, keep)),
    "reduce_sum": _over(lambda x, axes, keep: x.sum(axes, keep)),
    "reduce_max": _over(lambda x, axes, keep: x.amax(axes, keep)),
    "reduce_min": _over(lambda x, axes, keep: x.amin(axes, keep)),
    "reduce_sum_square": _over(lambda x, axes, keep: (x * x).sum(axes, keep)),
    "reduce_l2_norm": _over(lambda x, axes, keep: (x * x).sum(axes, keep).sqrt()),
    "softmax": softmax, "reduce_argmax": reduce_argmax, "cumsum": cumsum,
}  # fmt: skip
