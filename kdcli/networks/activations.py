"""Activations that work in place only seemingly."""

from __future__ import annotations

from torch import nn

CLONING = (nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.SiLU)
"""Their gradients need what came in, so that in training PyTorch copies it before it is overwritten. ``nn.ReLU6`` is a
``nn.Hardtanh``."""


def out_of_place(model: nn.Module) -> nn.Module:
    """Let activations write into a tensor of their own where that spares a copy in training; numbers stay the same."""
    for module in model.modules():
        if isinstance(module, CLONING):
            module.inplace = False
    return model
