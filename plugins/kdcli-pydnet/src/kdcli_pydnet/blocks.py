"""Layers that the networks share."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class RectifiedConv2d(nn.Conv2d):
    """Convolve 3x3 and rectify with a leak; one module, so that a tap on it reads what the next layer is given."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1, padding: int = 1, slope: float) -> None:
        super().__init__(inputs, outputs, 3, stride=stride, padding=padding)
        self.slope = slope

    def forward(self, input: Tensor) -> Tensor:
        """Return B x outputs x h x w."""
        return functional.leaky_relu(super().forward(input), self.slope)
