"""The network of "Revisiting Single Image Depth Estimation" (Hu et al. 2019, arXiv 1803.08673).

An encoder, a decoder of up-projections on its last map, a fusion of all its maps at once, and a head on decoder and
fusion together. Submodules have the authors' names E, D, MFF and R, so that their weights fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.networks.backbone import timm_network
from kdcli.networks.mff import WIDTH, Refinement, ResNetEncoder, doubled, resized
from kdcli.types import Pretrained

ENCODERS = {
    "resnet50": ("resnet50.tv_in1k", (256, 512, 1024, 2048)),
    "densenet161": ("densenet161.tv_in1k", (192, 384, 1056, 2208)),
    "senet154": ("legacy_senet154.in1k", (256, 512, 1024, 2048)),
}
"""Backbone -> timm's name, channels of its maps at a quarter, an eighth, a 16th and a 32nd of the image."""


class Hu2019Net(nn.Module):
    """The network on normalised images: B x 3 x H x W to depth at twice the encoder's first map, B x 1 x H/2 x W/2.

    align_corners: how the decoder and the fusion enlarge maps; the authors' code leaves it to PyTorch, whose version
    0.4 changed it from true to false.
    """

    def __init__(self, backbone: str, *, align_corners: bool = False, pretrained: Pretrained = False) -> None:
        super().__init__()
        name, channels = ENCODERS[backbone]
        made = {"resnet50": ResNetEncoder, "densenet161": DenseNetEncoder, "senet154": SENetEncoder}[backbone]
        self.E = made(name, pretrained=pretrained)
        self.D = Decoder(channels[-1], align_corners=align_corners)
        self.MFF = Fusion(channels, align_corners=align_corners)
        self.R = Refinement(channels[-1] // 32 + WIDTH * len(channels), hidden=2)

    def forward(self, image: Tensor) -> Tensor:
        """Return depth without any activation."""
        maps = self.E(image)
        return self.R(torch.cat([self.D(maps), self.MFF(maps)], dim=1))  # type: ignore[no-any-return]


class DenseNetEncoder(nn.Module):
    """DenseNet of timm without its classifier; gives the transitions' convolutions before they pool, and the end."""

    def __init__(self, name: str, *, pretrained: Pretrained = False) -> None:
        super().__init__()
        self.features: Any = timm_network(name, pretrained=pretrained, num_classes=0, global_pool="").features

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return maps of stride 4, 8, 16 and 32."""
        layers = self.features
        feature = layers.pool0(layers.norm0(layers.conv0(image)))
        maps = []
        for i in (1, 2, 3):
            transition = layers.get_submodule(f"transition{i}")
            feature = layers.get_submodule(f"denseblock{i}")(feature)
            maps.append(transition.conv(transition.norm(feature)))
            feature = transition.pool(maps[-1])
        # timm's norms hold the ReLU that follows them.
        return [*maps, layers.norm5(layers.denseblock4(feature))]


class SENetEncoder(nn.Module):
    """SENet of timm without its classifier; ``base`` is its stem and its four stages."""

    def __init__(self, name: str, *, pretrained: Pretrained = False) -> None:
        super().__init__()
        network: Any = timm_network(name, pretrained=pretrained, num_classes=0, global_pool="")
        self.base = nn.Sequential(*(getattr(network, f"layer{i}") for i in range(5)))

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return maps of stride 4, 8, 16 and 32."""
        maps = [functional.max_pool2d(self.base[0](image), 3, stride=2, ceil_mode=True)]
        for stage in self.base[1:]:
            maps.append(stage(maps[-1]))
        return maps[1:]


class Decoder(nn.Module):
    """Go up from the last map to the size of each finer one and to twice the finest, halving the channels each time."""

    def __init__(self, channels: int, *, align_corners: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.bn = nn.BatchNorm2d(channels // 2)
        self.up1, self.up2, self.up3, self.up4 = (
            ResizeProjection((channels // 2) >> i, (channels // 2) >> (i + 1), align_corners=align_corners)
            for i in range(4)
        )

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return B x C/32 x 2h x 2w for maps that begin with h x w and end with C channels."""
        feature = torch.relu(self.bn(self.conv(maps[3])))
        feature = self.up1(feature, maps[2].shape[-2:])
        feature = self.up2(feature, maps[1].shape[-2:])
        feature = self.up3(feature, maps[0].shape[-2:])
        return self.up4(feature, doubled(maps[0]))  # type: ignore[no-any-return]


class Fusion(nn.Module):
    """Bring all maps to twice the first one's size with few channels, and mix them: B x 64 x 2h x 2w."""

    def __init__(self, channels: Sequence[int], *, align_corners: bool) -> None:
        super().__init__()
        self.up1, self.up2, self.up3, self.up4 = (
            ResizeProjection(count, WIDTH, align_corners=align_corners) for count in channels
        )
        self.conv = nn.Conv2d(4 * WIDTH, 4 * WIDTH, 5, padding=2, bias=False)
        self.bn = nn.BatchNorm2d(4 * WIDTH)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return the mixed map."""
        size = doubled(maps[0])
        ups = (self.up1, self.up2, self.up3, self.up4)
        parts = [up(feature, size) for up, feature in zip(ups, maps, strict=True)]
        return torch.relu(self.bn(self.conv(torch.cat(parts, dim=1))))


class ResizeProjection(nn.Module):
    """Resize first, then a residual block whose shortcut is a convolution too."""

    def __init__(self, inputs: int, outputs: int, *, align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.conv1 = nn.Conv2d(inputs, outputs, 5, padding=2, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv1_2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn1_2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(inputs, outputs, 5, padding=2, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, feature: Tensor, size: Sequence[int]) -> Tensor:
        """Return B x outputs at a height and width."""
        large = resized(feature, size, align_corners=self.align_corners)
        branch = self.bn1_2(self.conv1_2(torch.relu(self.bn1(self.conv1(large)))))
        return torch.relu(branch + self.bn2(self.conv2(large)))
