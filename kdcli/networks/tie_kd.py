"""The students of TIE-KD (arXiv 2402.14340): an ImageNet backbone, a DenseDepth decoder, a head over depth bins.

Layer names of the head are those of the authors' code (HPC-Lab-KOREATECH/TIE-KD), those of the backbones timm's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.networks.backbone import timm_network
from kdcli.networks.densedepth import DenseDecoder, Up
from kdcli.networks.heads import Spacing, bin_centers
from kdcli.types import Pretrained

RESPONSE_BINS = 256
"""Rows of the unused layer over bins that students with a response head carry along."""


class Answer(NamedTuple):
    """Depth B x 1 x h x w; probs B x K x h x w and centers (K,) of heads over bins, else None."""

    depth: Tensor
    probs: Tensor | None
    centers: Tensor | None


class Layout(NamedTuple):
    """One student: timm's backbone, channels of the maps and of the decoder's levels, coarsest first."""

    timm: str
    skips: tuple[int, ...]
    widths: tuple[int, ...]
    doublings: int
    """Enlargements by two after the decoder, to the size of the image."""


LAYOUTS = {
    "mobilenet_v2": Layout("mobilenetv2_100.ra_in1k", (320, 96, 32, 24), (2048, 512, 256, 128), 2),
    "resnet18": Layout("resnet18.tv_in1k", (512, 256, 128, 64, 64), (512, 256, 256, 128, 128), 1),
    "resnet50": Layout("resnet50.tv_in1k", (2048, 1024, 512, 256, 64), (2048, 1024, 512, 256, 128), 1),
}


class TieKdNet(nn.Module):
    """The network on normalised images, B x 3 x H x W to the same size where that is a multiple of four.

    ``head=dpm`` spreads ``bins`` over the range, evenly or evenly in its logarithm, and depth is the expectation over
    their centres; ``head=response`` gives depth as a sigmoid times ``max_depth``.
    """

    centers: Tensor

    def __init__(
        self, backbone: str, head: str, *, bins: int, min_depth: float, max_depth: float, spacing: Spacing = "even",
        pretrained: Pretrained = False,
    ) -> None:
        super().__init__()
        layout = LAYOUTS[backbone]
        self.backbone: nn.Module = (
            MobileNetOs8(pretrained) if backbone == "mobilenet_v2" else ResNetMaps(layout.timm, pretrained)
        )
        self.decode_head = Head(layout, bins if head == "dpm" else RESPONSE_BINS)
        self.head, self.max_depth = head, max_depth
        if spacing == "even":  # in float32, as released
            edges = torch.linspace(min_depth, max_depth, bins + 1)
            centers = (edges[1:] + edges[:-1]) / 2
        else:
            centers = bin_centers(min_depth, max_depth, bins, spacing).float()
        self.register_buffer("centers", centers, persistent=False)

    def forward(self, image: Tensor) -> Answer:
        """Return depth in metres, with the distribution over bins where the head has one."""
        feature = self.decode_head(self.backbone(image))
        # float32 also under autocast: 257 small probabilities lose too much in bfloat16.
        if self.head == "response":
            return Answer(torch.sigmoid(self.decode_head.conv_depth(feature).float()) * self.max_depth, None, None)
        probs = torch.softmax(self.decode_head.conv_out(feature).float(), dim=1)
        return Answer((probs * self.centers.view(1, -1, 1, 1)).sum(dim=1, keepdim=True), probs, self.centers)


class Head(DenseDecoder):
    """The decoder and both last layers, of which one is used; ResNet students carry an unused enlargement too."""

    def __init__(self, layout: Layout, bins: int) -> None:
        super().__init__(layout.skips, layout.widths, torch.relu)
        width = layout.widths[-1]
        self.upsample_custom = Up(width, width, torch.relu)
        self.upsample_custom2 = Up(width, width, torch.relu)
        self.conv_depth = nn.Conv2d(width, 1, 3, padding=1)
        self.conv_out = nn.Sequential(nn.Conv2d(width, bins, 1))
        self.doublings = layout.doublings

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return B x 128 x h x w of maps that are finest first."""
        feature: Tensor = self.upsample_custom(self.decode(features))
        return self.upsample_custom2(feature) if self.doublings == 2 else feature


class ResNetMaps(nn.Module):
    """ResNet of timm: the stem's map and those of its four stages, at strides 2, 4, 8, 16, 32."""

    def __init__(self, name: str, pretrained: Pretrained) -> None:
        super().__init__()
        network = timm_network(name, pretrained=pretrained, num_classes=0, global_pool="")
        self.conv1, self.bn1, self.act1 = network.conv1, network.bn1, network.act1
        self.layer1, self.layer2, self.layer3, self.layer4 = (getattr(network, f"layer{i}") for i in (1, 2, 3, 4))

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return five maps, finest first."""
        maps = [self.act1(self.bn1(self.conv1(image)))]
        feature = functional.max_pool2d(maps[0], 3, stride=2, padding=1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            feature = stage(feature)
            maps.append(feature)
        return maps


class MobileNetOs8(nn.Module):
    """MobileNetV2 of timm that stops shrinking at stride 8: maps of stages 2, 3, 5 and 7 at strides 4, 8, 8, 8."""

    STRIDES = (1, 2, 2, 1, 1, 1, 1)
    DILATIONS = (1, 1, 1, 2, 2, 4, 4)
    TAKEN = (1, 2, 4, 6)

    def __init__(self, pretrained: Pretrained) -> None:
        super().__init__()
        network = timm_network(LAYOUTS["mobilenet_v2"].timm, pretrained=pretrained, num_classes=0, global_pool="")
        self.conv_stem, self.bn1, self.blocks = network.conv_stem, network.bn1, network.blocks
        for stage, stride, dilation in zip(self.blocks, self.STRIDES, self.DILATIONS, strict=True):
            first: Any = stage[0].conv_dw  # only the first block of a stage strides, and only it is dilated
            first.stride, first.dilation, first.padding = (stride,) * 2, (dilation,) * 2, (dilation,) * 2

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return four maps, finest first."""
        feature, maps = self.bn1(self.conv_stem(image)), []
        for number, stage in enumerate(self.blocks):
            feature = stage(feature)
            if number in self.TAKEN:
                maps.append(feature)
        return maps
