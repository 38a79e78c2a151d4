"""GuideDepth (Rudolph et al., arXiv 2203.04206): DDRNet-23-slim, and a decoder that the shrunken image guides upwards.

Layer names are the authors'.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.networks.ddrnet import DdrNetSlim

CHANNELS = {"full": (64, 32, 16), "s": (32, 8, 4)}
"""Size of the network -> channels of the map at an eighth, a quarter and half of the image."""

MIDDLE = 4.0
"""What a network that has learnt nothing gives: a quarter of the largest depth, about the mean of NYU and KITTI."""


class GuideDepthNet(nn.Module):
    """Images of 0..1, B x 3 x H x W, to inverse depth as largest / depth, B x 1 x H x W; multiples of 8."""

    def __init__(self, size: str = "full") -> None:
        super().__init__()
        eighth, quarter, half = CHANNELS[size]
        self.feature_extractor = DdrNetSlim(eighth)
        self.up_1 = GuidedUp(eighth, quarter)
        self.up_2 = GuidedUp(quarter, half)
        self.up_3 = GuidedUp(half, 1)
        nn.init.constant_(self.up_3.reduce.bias, MIDDLE)  # type: ignore[arg-type]

    def forward(self, image: Tensor) -> Tensor:
        """Return inverse depth without any activation."""
        feature = self.feature_extractor(image)
        # Every fourth and every second pixel is what resizing to the nearest pixel takes.
        feature = self.up_1(image[:, :, ::4, ::4], feature)
        feature = self.up_2(image[:, :, ::2, ::2], feature)
        return self.up_3(image, feature)  # type: ignore[no-any-return]


class GuidedUp(nn.Module):
    """Enlarge a map to the size of a guide image, and correct it by what the two say together."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.feature_conv = _pair(inputs, inputs, inputs // 2)
        self.guide_conv = _pair(3, inputs, inputs // 2)
        self.comb_conv = _pair(inputs, inputs, inputs)
        self.reduce = nn.Conv2d(inputs, outputs, 1)
        self.SE_block = ChannelAttention(inputs)
        self.corrected = nn.Identity()
        """A place to read the map before it is narrowed."""

    def forward(self, guide: Tensor, feature: Tensor) -> Tensor:
        """Return B x outputs at the size of the guide."""
        larger = functional.interpolate(feature, size=guide.shape[-2:], mode="bilinear", align_corners=False)
        both = torch.cat([self.feature_conv(larger), self.guide_conv(guide)], dim=1)
        return self.reduce(self.corrected(larger + self.comb_conv(self.SE_block(both))))  # type: ignore[no-any-return]


class ChannelAttention(nn.Module):
    """Weigh channels by what two linear layers, as wide as the map, make of their means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(channels, channels, bias=False), nn.ReLU(inplace=True),
            nn.Linear(channels, channels, bias=False), nn.Sigmoid(),
        )

    def forward(self, feature: Tensor) -> Tensor:
        """Return the weighed map."""
        return feature * self.fc(feature.mean(dim=(2, 3)))[:, :, None, None]  # type: ignore[no-any-return]


def to_depth(raw: Tensor, max_depth: float) -> Tensor:
    """Return depth of inverse depth: max_depth / raw, between a hundredth of max_depth and max_depth.

    Zero and less, which no depth has, count as farthest. Outside of the range the gradient is that at its end and not
    zero, so that training can bring a pixel back.
    """
    inverse = raw.float()
    inside = inverse.clamp(1.0, 100.0)
    if torch.is_grad_enabled() and inverse.requires_grad:
        inside = inside.detach() + (inverse - inverse.detach())
    return max_depth / inside


def _pair(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, hidden, 3, padding=1), nn.BatchNorm2d(hidden), nn.ReLU(inplace=True),
        nn.Conv2d(hidden, outputs, 1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True),
    )
