"""The decoder of ZipDepth, and its two heads, which enlarge depth from half the image's size to the whole.

The heads have weights of their own, and neither gives what the other does. Names of layers are the authors'.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.maps import widen
from kdcli.networks.norms import Norm
from kdcli.networks.zipdepth_blocks import ConvNorm, inner_norm
from kdcli.networks.zipdepth_layouts import Layout

Head = Literal["convex", "npu"]

BEGINNING = 0.5
"""What a network that has learnt nothing gives, about."""


class Decoder(nn.Module):
    """From the coarsest map up, adding each finer one; then the head.

    Args:
        widths: channels of the maps that come in, finest first: at 1/2, 1/4, 1/8, 1/16 and 1/32 of the image.
        own: channels at 1/4 of the image; coarser maps have more.
        half: channels at 1/2 of the image.
        head: which.
        layout: of the weights.
    """

    def __init__(self, widths: Sequence[int], own: int, half: int, head: Head, layout: Layout) -> None:
        super().__init__()
        stem, first, second, third, last = widths
        self.proj4 = ConvNorm(last, 3 * own)
        self.fuse3 = Fusion(third, 3 * own, 2 * own)
        self.fuse2 = Fusion(second, 2 * own, int(1.5 * own))
        self.fuse1 = Fusion(first, int(1.5 * own), own)
        self.fuse_half = Fusion(stem, own, half)
        self.head_half = nn.Conv2d(half, 1, 3, padding=1)
        self.convex_up: nn.Module = ConvexUp(half, layout) if head == "convex" else BlendUp(half, layout)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return B x 1 at twice the size of the first, finest map, before any activation."""
        stem, first, second, third, last = maps
        feature = self.fuse3(third, self.proj4(last))
        feature = self.fuse1(first, self.fuse2(second, feature))
        feature = self.fuse_half(stem, feature)
        # Depth comes last, where eight-bit files still compute in float.
        where = self.convex_up.where(feature)  # type: ignore[operator]
        return self.convex_up(where, self.head_half(feature))  # type: ignore[no-any-return]

    def begin(self) -> None:
        """Let depth start as nearly the same small positive number everywhere.

        With the encoder's way of drawing weights it would be below zero, where the last ReLU has no gradient, on up to
        nearly all pixels.
        """
        nn.init.normal_(self.head_half.weight, std=0.005)
        nn.init.constant_(self.head_half.bias, BEGINNING)  # type: ignore[arg-type]


class Fusion(nn.Module):
    """Add what two grouped 1x1 convolutions make of a fine and of a coarser map, which is enlarged first."""

    def __init__(self, fine: int, coarse: int, outputs: int) -> None:
        super().__init__()
        self.proj_high = _grouped(fine, outputs)
        self.proj_low = _grouped(coarse, outputs)
        self.bn = Norm(outputs)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Return B x outputs at the size of the fine map."""
        larger = functional.interpolate(coarse, size=fine.shape[-2:], mode="bilinear", align_corners=False)
        return torch.relu(self.bn(self.proj_high(fine) + self.proj_low(larger)))


class ConvexUp(nn.Module):
    """Convex upsampling: each of four new pixels is a mean of the 3x3 old ones around it, by weights from the map."""

    def __init__(self, channels: int, layout: Layout) -> None:
        super().__init__()
        hidden = max(channels // 4, 8)
        self.mask_pred = nn.Sequential(
            nn.Conv2d(channels, hidden, 3, padding=1, bias=layout == "folded"), inner_norm(hidden, layout),
            nn.ReLU(), nn.Conv2d(hidden, 9 * 4, 1),
        )

    def where(self, feature: Tensor) -> Tensor:
        """Return the weights of the nine old pixels around each of the four new ones, B x 9 x 4 x h x w."""
        logits = widen(self.mask_pred(feature))
        return torch.softmax(logits.view(-1, 9, 4, *logits.shape[-2:]), dim=1)

    def forward(self, where: Tensor, depth: Tensor) -> Tensor:
        """Return B x 1 x 2h x 2w, float32 also under autocast."""
        height, width = depth.shape[-2:]
        depth = widen(depth)
        # Edges repeat; put together by hand, since the gradient of replication padding is not deterministic on a GPU.
        depth = torch.cat([depth[..., :1, :], depth, depth[..., -1:, :]], dim=-2)
        depth = torch.cat([depth[..., :1], depth, depth[..., -1:]], dim=-1)
        around = torch.cat([depth[..., i:i + height, j:j + width] for i in range(3) for j in range(3)], dim=1)
        return functional.pixel_shuffle((where * around.unsqueeze(2)).sum(dim=1), 2)


class BlendUp(nn.Module):
    """The head for accelerators that cannot gather neighbours: per pixel between nearest and bilinear enlarging."""

    def __init__(self, channels: int, layout: Layout) -> None:
        super().__init__()
        hidden, bias = max(channels // 2, 8), layout == "folded"
        self.where_conv = nn.Sequential(
            nn.Conv2d(channels, hidden, 1, bias=bias), inner_norm(hidden, layout), nn.ReLU(),
            nn.Conv2d(hidden, hidden, 5, padding=2, groups=hidden, bias=bias), inner_norm(hidden, layout), nn.ReLU(),
            nn.Conv2d(hidden, 1, 1, bias=False),
        )

    def where(self, feature: Tensor) -> Tensor:
        """Return the share of nearest of each new pixel, B x 1 x 2h x 2w."""
        return torch.sigmoid(_double(widen(self.where_conv(feature))))

    def forward(self, where: Tensor, depth: Tensor) -> Tensor:
        """Return B x 1 x 2h x 2w, float32 also under autocast."""
        depth = widen(depth)
        return where * functional.interpolate(depth, scale_factor=2.0, mode="nearest") + (1 - where) * _double(depth)


def _double(values: Tensor) -> Tensor:
    return functional.interpolate(values, scale_factor=2.0, mode="bilinear", align_corners=False)


def _grouped(inputs: int, outputs: int) -> nn.Conv2d:
    groups = next(groups for groups in (4, 2, 1) if inputs % groups == 0 and outputs % groups == 0)
    return nn.Conv2d(inputs, outputs, 1, groups=groups, bias=False)
