"""ZipDepth (arXiv 2607.08771): an encoder of re-parameterisable blocks, and a decoder that adds its maps.

Layer names are the authors'.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from kdcli.networks.widths import narrow
from kdcli.networks.zipdepth_blocks import (
    ConvNorm,
    CrossScale,
    GlobalContext,
    PooledPyramid,
    RepBlock,
    SqueezeExcite,
    StripPooling,
    TwoDilations,
)
from kdcli.networks.zipdepth_decoder import Decoder, Head
from kdcli.networks.zipdepth_layouts import Layout, folded

Variant = Literal["base", "small", "large", "giant"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a variant is."""

    widths: tuple[int, int, int, int]
    """Channels at 1/4, 1/8, 1/16 and 1/32 of the image."""
    depths: tuple[int, int, int, int]
    """Blocks of each stage."""
    decoder: int
    """Channels of the decoder at 1/4 of the image."""
    half: int
    """Channels of the decoder at 1/2 of the image."""


SIZES: Mapping[Variant, Size] = {
    "base": Size(widths=(48, 96, 192, 384), depths=(2, 2, 6, 2), decoder=96, half=32),
    "small": Size(widths=(24, 48, 96, 192), depths=(2, 2, 4, 2), decoder=32, half=24),
    "large": Size(widths=(64, 128, 256, 384), depths=(2, 4, 10, 4), decoder=192, half=48),
    "giant": Size(widths=(96, 192, 384, 512), depths=(2, 4, 14, 6), decoder=288, half=64),
}
"""Variant -> size; the authors released weights of the first."""


class ZipDepthNet(nn.Module):
    """Normalised images B x 3 x H x W to inverse depth B x 1 x H x W, before the last ReLU; multiples of 32."""

    def __init__(self, variant: Variant = "base", head: Head = "convex", layout: Layout = "branches") -> None:
        super().__init__()
        self.variant, self.head, self.layout = variant, head, layout
        size = SIZES[variant]
        self.encoder = Encoder(size, layout)
        self.decoder = Decoder((size.widths[0] // 2, *size.widths), size.decoder, size.half, head, layout)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        self.decoder.begin()

    def forward(self, image: Tensor) -> Tensor:
        """Return inverse depth, of which what lies below zero counts as zero."""
        return self.decoder(self.encoder(image))  # type: ignore[no-any-return]

    def deployed(self) -> nn.Module:
        """Return the network for inference alone, with branches and inner norms in single convolutions."""
        with torch.device("meta"):
            made = ZipDepthNet(self.variant, self.head, "folded")
        blocks = {name for name, module in self.named_modules() if isinstance(module, RepBlock) and module.shortcut}
        state = folded(self.state_dict(), blocks)
        narrow(made, {name: tuple(value.shape) for name, value in state.items()})  # channels may have been cut
        made.load_state_dict(state, assign=True)
        return made


class Encoder(nn.Module):
    """Images to maps at 1/2, 1/4, 1/8, 1/16 and 1/32 of their size."""

    def __init__(self, size: Size, layout: Layout) -> None:
        super().__init__()
        first, second, third, last = size.widths
        blocks = [
            [RepBlock(width, width, layout) for _ in range(depth)]
            for width, depth in zip(size.widths, size.depths, strict=True)
        ]
        self.stem_half = ConvNorm(3, first // 2, 3, stride=2)
        self.stem_quarter = ConvNorm(first // 2, first, 3, stride=2)
        self.stage1 = nn.Sequential(*blocks[0])
        self.down2 = RepBlock(first, second, layout, stride=2)
        self.stage2 = nn.Sequential(*blocks[1], TwoDilations(second), StripPooling(second, layout))
        self.down3 = RepBlock(second, third, layout, stride=2)
        self.stage3 = nn.Sequential(*blocks[2], SqueezeExcite(third), GlobalContext(third, layout))
        self.down4 = RepBlock(third, last, layout, stride=2)
        self.stage4 = nn.Sequential(*blocks[3])
        self.spp = PooledPyramid(last)
        self.cross_scale = CrossScale(third, last)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return the maps, finest first."""
        half = self.stem_half(image)
        first = self.stage1(self.stem_quarter(half))
        second = self.stage2(self.down2(first))
        third = self.stage3(self.down3(second))
        third, last = self.cross_scale(third, self.spp(self.stage4(self.down4(third))))
        return half, first, second, third, last
