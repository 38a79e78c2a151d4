"""A decoder in the manner of DenseDepth, without any normalisation: enlarge, concatenate, convolve twice.

Layer names are those of zhyever/Monocular-Depth-Estimation-Toolbox and of what was built on it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

Activation = Callable[[Tensor], Tensor]


class DenseDecoder(nn.Module):
    """From the coarsest map to the finest: a 1x1 convolution (``conv_list.0``), then one ``Up`` for each finer map."""

    def __init__(self, skips: Sequence[int], widths: Sequence[int], activation: Activation) -> None:
        """Build the decoder.

        Args:
            skips: channels of the maps, coarsest first.
            widths: channels that each level gives; the first is that of the 1x1 convolution.
            activation: after each convolution but the first.
        """
        super().__init__()
        self.conv_list = nn.ModuleList([Conv(skips[0], widths[0], 1)])
        for (coarse, width), skip in zip(itertools.pairwise(widths), skips[1:], strict=True):
            self.conv_list.append(Up(coarse + skip, width, activation))

    def decode(self, features: Sequence[Tensor]) -> Tensor:
        """Return B x C x h x w at the size of the finest of the maps, which are finest first."""
        first, *ups = self.conv_list
        feature: Tensor = first(features[-1])
        for up, skip in zip(ups, reversed(features[:-1]), strict=True):
            feature = up(feature, skip)
        return feature


class Up(nn.Module):
    """Enlarge with corners aligned, concatenate the skip where there is one, convolve twice."""

    def __init__(self, inputs: int, outputs: int, activation: Activation) -> None:
        super().__init__()
        self.convA = Conv(inputs, outputs, 3)
        self.convB = Conv(outputs, outputs, 3)
        self.activation = activation

    def forward(self, coarse: Tensor, skip: Tensor | None = None) -> Tensor:
        """Return B x outputs at the size of ``skip``, or at twice the size."""
        size = (2 * coarse.shape[-2], 2 * coarse.shape[-1]) if skip is None else skip.shape[-2:]
        feature = functional.interpolate(coarse, size=size, mode="bilinear", align_corners=True)
        if skip is not None:
            feature = torch.cat([feature, skip], dim=1)
        return self.activation(self.convB(self.activation(self.convA(feature))))


class Conv(nn.Module):
    """A convolution that keeps the size; its weights begin so that activations keep their scale."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_in")
        assert self.conv.bias is not None
        nn.init.zeros_(self.conv.bias)

    def forward(self, feature: Tensor) -> Tensor:
        """Return B x outputs x h x w."""
        return self.conv(feature)  # type: ignore[no-any-return]
