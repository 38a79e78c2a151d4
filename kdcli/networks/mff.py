"""The light network of JunjH/Boosting-Light-Weight-Depth-Estimation (arXiv 2105.06143): encoder, fusion, refinement.

Four maps of an encoder are weighed by channel attention, brought to one size and fused at once; no decoder goes up step
by step. Submodules have the authors' names E, MFF and R, so that their weights fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.networks.backbone import timm_network
from kdcli.types import Pretrained

ENCODERS = {
    "resnet34": ("resnet34.tv_in1k", (64, 128, 256, 512)),
    "mobilenet_v2": ("mobilenetv2_100.ra_in1k", (24, 32, 96, 160)),
}
"""Backbone -> timm's name, channels of its maps at a quarter, an eighth, a 16th and a 32nd of the image."""

WIDTH = 16
"""Channels that each map has when the maps are fused."""


class MffNet(nn.Module):
    """The network on normalised images: B x 3 x H x W to depth at twice the encoder's first map, B x 1 x H/2 x W/2."""

    def __init__(self, backbone: str, *, pretrained: Pretrained = False) -> None:
        super().__init__()
        name, channels = ENCODERS[backbone]
        encoder = MobileNetEncoder if backbone == "mobilenet_v2" else ResNetEncoder
        self.E = encoder(name, pretrained=pretrained)
        self.MFF = AttentiveFusion(channels)
        self.R = Refinement(WIDTH * len(channels), hidden=1)

    def forward(self, image: Tensor) -> Tensor:
        """Return depth without any activation."""
        return self.R(self.MFF(self.E(image)))  # type: ignore[no-any-return]


class ResNetEncoder(nn.Module):
    """A ResNet of timm without its classifier; gives the four stages, finest first."""

    def __init__(self, name: str, *, pretrained: Pretrained = False) -> None:
        super().__init__()
        network: Any = timm_network(name, pretrained=pretrained, num_classes=0, global_pool="")
        self.conv1, self.bn1 = network.conv1, network.bn1
        self.layer1, self.layer2, self.layer3, self.layer4 = (getattr(network, f"layer{i}") for i in (1, 2, 3, 4))

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return maps of stride 4, 8, 16 and 32."""
        feature = torch.relu(self.bn1(self.conv1(image)))
        maps = [functional.max_pool2d(feature, 3, stride=2, padding=1)]
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            maps.append(stage(maps[-1]))
        return maps[1:]


class MobileNetEncoder(nn.Module):
    """MobileNetV2 of timm up to its blocks of 160 channels; gives the last block of each stride from 4 on."""

    TAKEN = (1, 2, 4, 5)
    """Which of timm's groups of blocks end a stride; group 3 has the stride of group 4, group 6 is not used."""

    def __init__(self, name: str, *, pretrained: Pretrained = False) -> None:
        super().__init__()
        network: Any = timm_network(name, pretrained=pretrained, num_classes=0, global_pool="")
        self.conv_stem, self.bn1 = network.conv_stem, network.bn1
        self.blocks = network.blocks[:self.TAKEN[-1] + 1]

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return maps of stride 4, 8, 16 and 32."""
        feature = self.bn1(self.conv_stem(image))
        maps = []
        for i, group in enumerate(self.blocks):
            feature = group(feature)
            if i in self.TAKEN:
                maps.append(feature)
        return maps


class AttentiveFusion(nn.Module):
    """Weigh, narrow and enlarge the encoder's maps, then mix them: 64 channels at twice the first map's size."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        for i, count in enumerate(channels, start=1):
            self.add_module(f"att{i}", ChannelAttention(count))
            self.add_module(f"up{i}", NarrowUp(count, WIDTH))
        self.conv = nn.Conv2d(WIDTH * len(channels), WIDTH * len(channels), 5, padding=2, bias=False)
        self.bn = nn.BatchNorm2d(WIDTH * len(channels))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return B x 64 x 2h x 2w for maps that begin with h x w."""
        size = doubled(maps[0])
        parts = [
            self.get_submodule(f"up{i}")(self.get_submodule(f"att{i}")(feature), size)
            for i, feature in enumerate(maps, start=1)
        ]
        return torch.relu(self.bn(self.conv(torch.cat(parts, dim=1))))


class ChannelAttention(nn.Sequential):
    """Scale channels by what their means over the image say, through a sixteenth of the channels."""

    def __init__(self, channels: int) -> None:
        narrow = channels // 16
        super().__init__(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, narrow, 1, bias=False), nn.ReLU(),
            nn.Conv2d(narrow, channels, 1, bias=False), nn.Sigmoid(),
        )

    def forward(self, feature: Tensor) -> Tensor:
        """Return the scaled map."""
        scale = feature
        for layer in self:
            scale = layer(scale)
        return feature * scale


class NarrowUp(nn.Module):
    """A 5x5 convolution to few channels on the small map, which is enlarged afterwards."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 5, padding=2, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)

    def forward(self, feature: Tensor, size: Sequence[int]) -> Tensor:
        """Return B x outputs at a height and width."""
        return resized(torch.relu(self.bn1(self.conv1(feature))), size, align_corners=True)


class Refinement(nn.Module):
    """The head: ``hidden`` 5x5 convolutions (one or two) that keep the channels, and one that gives depth."""

    def __init__(self, channels: int, *, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        for i in range(hidden):
            self.add_module(f"conv{i}", nn.Conv2d(channels, channels, 5, padding=2, bias=False))
            self.add_module(f"bn{i}", nn.BatchNorm2d(channels))
            self.add_module(f"relu{i}", nn.ReLU())
        # The authors' name for it is the same in both of their networks.
        self.conv2 = nn.Conv2d(channels, 1, 5, padding=2)

    def forward(self, feature: Tensor) -> Tensor:
        """Return B x 1 x h x w, of any sign."""
        for i in range(self.hidden):
            for kind in ("conv", "bn", "relu"):
                feature = self.get_submodule(f"{kind}{i}")(feature)
        return self.conv2(feature)  # type: ignore[no-any-return]


def doubled(feature: Tensor) -> tuple[int, int]:
    """Return twice a map's height and width."""
    return 2 * feature.shape[-2], 2 * feature.shape[-1]


def resized(feature: Tensor, size: Sequence[int], *, align_corners: bool) -> Tensor:
    """Resize bilinearly to a height and width."""
    return functional.interpolate(feature, size=(size[0], size[1]), mode="bilinear", align_corners=align_corners)
