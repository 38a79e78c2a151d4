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


def initialise(network: nn.Module, slope: float) -> None:
    """Draw random weights that keep the size of signals through many layers without normalisation (He et al. 2015).

    With torch's own default a signal loses most of its size at every layer: after some twenty there is no gradient.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            # Of a transposed convolution with kernel = stride each output sees one tap of each input channel.
            fan_in = module.in_channels * (1 if isinstance(module, nn.ConvTranspose2d) else module.weight[0, 0].numel())
            nn.init.normal_(module.weight, std=(2 / (1 + slope**2) / fan_in) ** 0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
