"""Convolutions of one pixel that leave pixels out: in training on a CPU they get the pixels that they look at.

For fewer than 16 channels PyTorch's library for CPUs (oneDNN, as of PyTorch 2.14; its issue 6035) writes beyond its
memory when it takes the gradient of such a weight in channels-last order. Stems with branches (MobileOne, RepVGG) have
one on the image itself.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

NARROW = 16
"""Channels below which the gradient is wrong."""


class Subsampled(nn.Conv2d):
    """A strided convolution of one pixel, as one without stride of every other pixel where a CPU learns it.

    The same sums; elsewhere it runs as it is, so that evaluation and files do not know of it.
    """

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Return the convolution of images, B x C x H x W."""
        if image_BCHW.device.type != "cpu" or not (torch.is_grad_enabled() and self.weight.requires_grad):
            return super().forward(image_BCHW)
        down, across = self.stride
        return functional.conv2d(image_BCHW[..., ::down, ::across], self.weight, self.bias)


def subsampled(model: nn.Module) -> nn.Module:
    """Let the narrow ones of a network's strided convolutions of one pixel be ``Subsampled``, in place; return it."""
    for module in model.modules():
        if type(module) is nn.Conv2d and _skips(module):
            module.__class__ = Subsampled
    return model


def _skips(conv: nn.Conv2d) -> bool:
    one = conv.kernel_size == (1, 1) and conv.padding in ((0, 0), "valid") and conv.groups == 1
    return one and max(conv.stride) > 1 and conv.in_channels < NARROW
