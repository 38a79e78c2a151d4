"""Batch norms that see the batch of all processes, on any device: PyTorch's own refuse the CPU in training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.many.gather import exchanged
from kdcli.many.group import Group
from kdcli.maps import full_precision, widen

_Norms = nn.modules.batchnorm._BatchNorm
_alone = functional.batch_norm


@contextmanager
def shared_norms(model: nn.Module, group: Group | None) -> Iterator[int]:
    """Let the batch norms of a model take their statistics over all processes inside the block; yields how many.

    They stay the modules that they are: what a class of norms does besides (an activation, a count of batches) it goes
    on doing. Without a group nothing is changed.
    """
    norms = [] if group is None else [module for module in model.modules() if isinstance(module, _Norms)]
    for norm in norms:
        assert group is not None
        norm.forward = partial(_forward, norm, group)  # type: ignore[method-assign]
    try:
        yield len(norms)
    finally:
        for norm in norms:
            del norm.forward  # the class's own is seen again


def _forward(norm: _Norms, group: Group, feature: Tensor) -> Tensor:
    """Run a norm with the function that it calls replaced: every class of them ends there."""
    functional.batch_norm = partial(_synced, group)
    try:
        return type(norm).forward(norm, feature)
    finally:
        functional.batch_norm = _alone


def _synced(
    group: Group, feature: Tensor, running_mean: Tensor | None, running_var: Tensor | None,
    weight: Tensor | None = None, bias: Tensor | None = None, training: bool = False, momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Return what ``torch.nn.functional.batch_norm`` does for the features B x C x ... of all processes together."""
    if not training:
        return _alone(feature, running_mean, running_var, weight, bias, training, momentum, eps)
    axes = [0, *range(2, feature.ndim)]
    with full_precision(feature.device):
        wide = widen(feature)
        own = torch.stack([wide.mean(axes), wide.var(axes, correction=0)])
        means, variances = exchanged(own, group).unbind(1)
        # Parts are of one size, so that means of means are means; the spread of the means is a part of the variance.
        mean = means.mean(0)
        variance = variances.mean(0) + (means - mean).square().mean(0)
        if running_mean is not None and running_var is not None:
            count = group.size * feature.numel() // feature.shape[1]
            with torch.no_grad():  # as PyTorch moves them: by an unbiased variance
                running_mean.lerp_(mean.to(running_mean.dtype), momentum)
                running_var.lerp_((variance * (count / max(count - 1, 1))).to(running_var.dtype), momentum)
        shape: Any = (1, -1, *[1] * (feature.ndim - 2))
        factor = torch.rsqrt(variance + eps)
        factor = factor if weight is None else factor * weight
        made = (wide - mean.view(shape)) * factor.view(shape)
        made = made if bias is None else made + bias.view(shape)
    return made.to(feature.dtype)
