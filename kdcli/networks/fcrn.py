"""FCRN with up-projections (Laina et al., arXiv 1606.00373), as its best known PyTorch version has it.

That version (fangchangma/sparse-to-dense.pytorch) ends the encoder with a 1x1 convolution and batch norm without an
activation, and its layer names are kept here, so that its weights fit.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.networks.backbone import timm_network
from kdcli.types import Pretrained

ENCODERS = {"resnet50": ("resnet50.tv_in1k", 2048), "resnet18": ("resnet18.tv_in1k", 512)}
"""Backbone -> timm's name, channels of its last stage."""


class FcrnNet(nn.Module):
    """The network on images of 0..1: B x 3 x H x W to depth at half the encoder's last map times 32, B x 1 x h x w.

    228 x 304 gives 128 x 160: the encoder rounds up, the decoder multiplies by sixteen.
    """

    def __init__(self, backbone: str, *, pretrained: Pretrained = False) -> None:
        super().__init__()
        name, deepest = ENCODERS[backbone]
        encoder: Any = timm_network(name, pretrained=pretrained, num_classes=0, global_pool="")
        self.conv1, self.bn1 = encoder.conv1, encoder.bn1
        self.layer1, self.layer2, self.layer3, self.layer4 = (getattr(encoder, f"layer{i}") for i in (1, 2, 3, 4))
        self.conv2 = nn.Conv2d(deepest, deepest // 2, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(deepest // 2)
        self.decoder = Decoder(deepest // 2)
        self.conv3 = nn.Conv2d(deepest // 32, 1, 3, padding=1, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        """Return depth without any activation."""
        feature = torch.relu(self.bn1(self.conv1(image)))
        feature = functional.max_pool2d(feature, 3, stride=2, padding=1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            feature = stage(feature)
        return self.conv3(self.decoder(self.bn2(self.conv2(feature))))  # type: ignore[no-any-return]


class Decoder(nn.Sequential):
    """Four up-projections; each doubles the map and halves the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        for i in range(4):
            self.add_module(f"layer{i + 1}", UpProjection(channels >> i))


class UpProjection(nn.Module):
    """Unpool (zeros between), then a residual block whose shortcut is a convolution too."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.upper_branch = nn.Sequential()
        self.upper_branch.add_module("conv1", SpreadConv(channels, half))
        self.upper_branch.add_module("batchnorm1", nn.BatchNorm2d(half))
        self.upper_branch.add_module("relu", nn.ReLU())
        self.upper_branch.add_module("conv2", nn.Conv2d(half, half, 3, padding=1, bias=False))
        self.upper_branch.add_module("batchnorm2", nn.BatchNorm2d(half))
        self.bottom_branch = nn.Sequential()
        self.bottom_branch.add_module("conv", SpreadConv(channels, half))
        self.bottom_branch.add_module("batchnorm", nn.BatchNorm2d(half))

    def forward(self, feature: Tensor) -> Tensor:
        """Return B x C/2 x 2h x 2w."""
        return torch.relu(self.upper_branch(feature) + self.bottom_branch(feature))


class SpreadConv(nn.Conv2d):
    """A 5x5 convolution of the map spread to every other row and column, zeros between.

    Three quarters of that map are zeros: the transposed convolution with the mirrored kernel gives the same sums
    without them.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 5, padding=2, bias=False)

    def forward(self, feature: Tensor) -> Tensor:
        """Return B x outputs x 2h x 2w."""
        kernel = self.weight.flip(-2, -1).transpose(0, 1)
        return functional.conv_transpose2d(feature, kernel, stride=2, padding=2, output_padding=1)
