"""MiDaS v2.1 small (Ranftl et al., arXiv 1907.01341): EfficientNet-Lite3 and a RefineNet that widens as it goes down.

Names are the authors', so that their weights fit; the backbone's stages hold timm's blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn
from torch.nn import functional

from kdcli.networks.backbone import timm_network
from kdcli.types import Pretrained

ENCODER = (32, 48, 136, 384)
"""Channels of the encoder's maps at a quarter, an eighth, a 16th and a 32nd of the image."""

DECODER = (64, 128, 256, 512)
"""Channels in which the decoder works on each of them."""


class MidasSmallNet(nn.Module):
    """The network on normalised images: B x 3 x H x W to inverse depth B x 1 x H x W; multiples of 32."""

    def __init__(self, *, pretrained: Pretrained = False) -> None:
        super().__init__()
        network: Any = timm_network(
            "tf_efficientnet_lite3.in1k", pretrained=pretrained, num_classes=0, global_pool=""
        )
        _pad_by_constants(network)
        blocks = network.blocks
        self.pretrained = nn.ModuleDict({
            # timm's norm includes the activation that the authors have at the third place.
            "layer1": nn.Sequential(network.conv_stem, network.bn1, nn.Identity(), blocks[0], blocks[1]),
            "layer2": nn.Sequential(blocks[2]),
            "layer3": nn.Sequential(blocks[3], blocks[4]),
            "layer4": nn.Sequential(blocks[5], blocks[6]),
        })
        self.scratch = RefineNet()

    def forward(self, image: Tensor) -> Tensor:
        """Return inverse depth, which the last ReLU keeps from being negative."""
        maps = [image]
        for stage in self.pretrained.values():
            maps.append(stage(maps[-1]))
        return self.scratch(maps[1:])  # type: ignore[no-any-return]


class RefineNet(nn.Module):
    """The decoder: from the coarsest map up, adding each finer one."""

    def __init__(self) -> None:
        super().__init__()
        for i, (inputs, width) in enumerate(zip(ENCODER, DECODER, strict=True), start=1):
            self.add_module(f"layer{i}_rn", nn.Conv2d(inputs, width, 3, padding=1, bias=False))
            self.add_module(f"refinenet{i}", Fusion(width, max(width // 2, DECODER[0])))
        self.output_conv = nn.Sequential(
            nn.Conv2d(DECODER[0], 32, 3, padding=1), nn.Upsample(scale_factor=2.0, mode="bilinear"),
            nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 1, 1), nn.ReLU(),
        )
        # Above zero everywhere at first: a ReLU that begins at zero everywhere would learn nothing.
        nn.init.constant_(self.output_conv[4].bias, 1.0)  # type: ignore[arg-type]

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return B x 1 at four times the size of the first, finest map."""
        adapted = [self.get_submodule(f"layer{i}_rn")(feature) for i, feature in enumerate(maps, start=1)]
        path = self.get_submodule("refinenet4")(adapted[3], None, adapted[2].shape[-2:])
        path = self.get_submodule("refinenet3")(path, adapted[2], adapted[1].shape[-2:])
        path = self.get_submodule("refinenet2")(path, adapted[1], adapted[0].shape[-2:])
        double = [2 * side for side in adapted[0].shape[-2:]]
        path = self.get_submodule("refinenet1")(path, adapted[0], double)
        return self.output_conv(path)  # type: ignore[no-any-return]


class Fusion(nn.Module):
    """Add a finer map to what comes from below, refine, narrow and enlarge.

    The coarsest has nothing to add; its first unit has weights all the same.
    """

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.out_conv = nn.Conv2d(width, outputs, 1)
        self.resConfUnit1 = ResidualUnit(width)
        self.resConfUnit2 = ResidualUnit(width)

    def forward(self, path: Tensor, finer: Tensor | None, size: Sequence[int]) -> Tensor:
        """Return B x outputs at a size."""
        if finer is not None:
            path = path + self.resConfUnit1(finer)
        # The authors enlarge first: a 1x1 convolution gives the same on either side, here for a quarter of the work.
        narrow = self.out_conv(self.resConfUnit2(path))
        return functional.interpolate(narrow, size=(size[0], size[1]), mode="bilinear", align_corners=True)


class ResidualUnit(nn.Module):
    """Two 3x3 convolutions, each after a ReLU, and a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, feature: Tensor) -> Tensor:
        """Return a map of the same shape."""
        return feature + self.conv2(torch.relu(self.conv1(torch.relu(feature))))  # type: ignore[no-any-return]


class HalvingConv(nn.Conv2d):
    """A convolution of stride two with TensorFlow's "same" padding, for maps of even height and width.

    There the padding is constant: the kernel's edge minus two in all, the odd one of them at the end. Computed from the
    map's size, as timm does, it would be a question about sizes that an exported graph has to answer.
    """

    def forward(self, feature: Tensor) -> Tensor:
        """Return the map at half its size."""
        total = self.kernel_size[0] - 2
        ends = (total // 2, total - total // 2)
        return super().forward(functional.pad(feature, (*ends, *ends)))


def _pad_by_constants(network: nn.Module) -> None:
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Conv2dSame):
                edge = child.kernel_size[0]
                conv = HalvingConv(
                    child.in_channels, child.out_channels, edge, stride=2, groups=child.groups, bias=False
                )
                conv.weight = child.weight
                setattr(parent, name, conv)
