"""DepthFormer (arXiv 2203.14211): a Swin transformer beside a convolution stem, the HAHI neck, a convolution decoder.

Layer names are those of zhyever/Monocular-Depth-Estimation-Toolbox, so that its weights fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.networks.densedepth import DenseDecoder
from kdcli.networks.hahi import HahiNeck
from kdcli.networks.swin import Swin

STEM = 64
"""Channels of the convolution stem."""

DROP_PATH = 0.3
"""Share of the deepest block's branches that training leaves out; earlier blocks fewer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """Sizes of one backbone and its neck: channels at stride 4, blocks and heads of the stages, attention's width."""

    width: int
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    neck: int

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the five maps, the stem's first."""
        return (STEM, *(self.width << i for i in range(4)))


VARIANTS = {
    "swin-l": Variant(width=192, depths=(2, 2, 18, 2), heads=(6, 12, 24, 48), neck=512),
    "swin-t": Variant(width=96, depths=(2, 2, 6, 2), heads=(3, 6, 12, 24), neck=256),
}


class DepthFormerNet(nn.Module):
    """The network on normalised images, B x 3 x H x W to depth at half that size, rounded up, B x 1 x h x w."""

    def __init__(self, backbone: str, *, min_depth: float = 1e-3, start: float = 1.0) -> None:
        """Build the network; ``start`` is about the depth in metres that it predicts before it has learned."""
        super().__init__()
        self.min_depth = min_depth
        variant = VARIANTS[backbone]
        self.backbone = HybridBackbone(variant)
        self.neck = HahiNeck(variant.channels, variant.neck)
        self.decode_head = DenseHead(variant.channels[::-1], start)

    def forward(self, image: Tensor) -> Tensor:
        """Return depth in metres, at least ``min_depth``."""
        depth = self.decode_head(self.neck(self.backbone(image)))
        return torch.relu(depth) + self.min_depth


class HybridBackbone(Swin):
    """Swin and, beside it, one convolution that keeps details: five maps at strides 2, 4, 8, 16, 32."""

    def __init__(self, variant: Variant) -> None:
        super().__init__(variant.width, variant.depths, variant.heads, drop_path=DROP_PATH)
        self.conv1 = nn.Conv2d(3, STEM, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(STEM)
        self.relu = nn.ReLU()

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the stem's map and the transformer's, finest first."""
        return [self.relu(self.bn1(self.conv1(image))), *super().forward(image)]


class DenseHead(DenseDecoder):
    """From the maps to depth at the size of the finest."""

    def __init__(self, channels: Sequence[int], start: float) -> None:
        """Build the head for maps of these channels, coarsest first."""
        super().__init__(channels, channels, functional.leaky_relu)
        self.conv_depth = nn.Conv2d(channels[-1], 1, 3, padding=1)
        # A dead ReLU learns nothing.
        assert self.conv_depth.bias is not None
        nn.init.constant_(self.conv_depth.bias, start)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return B x 1 x h x w of maps that are finest first, before any activation."""
        return self.conv_depth(self.decode(features))  # type: ignore[no-any-return]
