"""DepthART MobileNetV4-M-slim-SPF (arXiv 2607.17099): a slim encoder, and a decoder of projections, sums and refining.

Names are the authors', so that their weights fit. Facts from https://github.com/xuefeng-cvr/DepthART.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.networks.depthart_encoder import CHANNELS, slim_mobilenet
from kdcli.types import Pretrained

DECODER = (16, 32, 64, 96)
"""Channels of the decoder at the image's size, a half, a quarter and an eighth of it."""


class DepthArtNet(nn.Module):
    """The network on normalised images: B x 3 x H x W to inverse depth B x 1 x H x W, of any size."""

    def __init__(self, *, pretrained: Pretrained = False) -> None:
        super().__init__()
        self.pretrained = slim_mobilenet(pretrained=pretrained)
        self.depth_head = Decoder()

    def forward(self, image: Tensor) -> Tensor:
        """Return inverse depth, which the last ReLU keeps from being negative."""
        return self.depth_head(self.pretrained(image), image.shape[-2:])  # type: ignore[no-any-return]


class Decoder(nn.Module):
    """From the three coarse maps together, up to the size of the image."""

    def __init__(self) -> None:
        super().__init__()
        full, half, quarter, eighth = DECODER
        self.project8 = conv(CHANNELS[2], eighth)
        self.project16 = conv(CHANNELS[3], eighth)
        self.project32 = conv(CHANNELS[4], eighth)
        self.fuse8 = conv(3 * eighth, eighth)
        self.refine8 = Residual(eighth)
        self.reduce8 = conv(eighth, quarter)
        self.project4 = conv(CHANNELS[1], quarter)
        self.refine4 = Separable(quarter, 5)
        self.reduce4 = conv(quarter, half)
        self.project2 = conv(CHANNELS[0], half)
        self.refine2 = Separable(half, 3)
        self.reduce2 = conv(half, full)
        self.full_depthwise = conv(full, full, 3, groups=full)
        self.full_pointwise = conv(full, full)
        self.output_conv = nn.Conv2d(full, 1, 1)
        self._initialise()

    def forward(self, maps: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        """Return B x 1 at a size from the encoder's five maps, finest first."""
        stem, at4, at8, at16, at32 = maps
        coarse = [resize(projected, at8.shape[-2:]) for projected in (self.project16(at16), self.project32(at32))]
        feature = self.refine8(self.fuse8(torch.cat([self.project8(at8), *coarse], dim=1)))
        feature = self.refine4(resize(self.reduce8(feature), at4.shape[-2:]) + self.project4(at4))
        feature = self.refine2(resize(self.reduce4(feature), stem.shape[-2:]) + self.project2(stem))
        feature = self.full_depthwise(resize(self.reduce2(feature), size))
        return torch.relu(self.output_conv(self.full_pointwise(feature)))

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module is not self.output_conv:
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        # Not so the last layer, and above zero at first: the authors' own start leaves half of the pixels, and with bad
        # luck all, on the flat side of the last ReLU, where nothing is learned.
        nn.init.constant_(self.output_conv.bias, 1.0)  # type: ignore[arg-type]


class Residual(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv(channels, channels, 3)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, feature: Tensor) -> Tensor:
        """Return a map of the same shape."""
        return torch.relu(feature + self.bn2(self.conv2(self.conv1(feature))))


class Separable(nn.Module):
    """A depthwise and a 1x1 convolution, and a shortcut."""

    def __init__(self, channels: int, edge: int) -> None:
        super().__init__()
        self.depthwise = conv(channels, channels, edge, groups=channels)
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)
        self.pointwise_bn = nn.BatchNorm2d(channels)

    def forward(self, feature: Tensor) -> Tensor:
        """Return a map of the same shape."""
        return torch.relu(feature + self.pointwise_bn(self.pointwise(self.depthwise(feature))))


def conv(inputs: int, outputs: int, edge: int = 1, *, groups: int = 1) -> nn.Sequential:
    """Return a convolution without bias, its norm and a ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, edge, padding=edge // 2, groups=groups, bias=False), nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )  # fmt: skip


def resize(feature: Tensor, size: Sequence[int]) -> Tensor:
    """Resize bilinearly with corner pixels aligned."""
    return functional.interpolate(feature, size=(size[0], size[1]), mode="bilinear", align_corners=True)
