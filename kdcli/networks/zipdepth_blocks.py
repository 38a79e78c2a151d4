"""What the encoder of ZipDepth is made of. Names of layers are the authors'."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.networks.norms import Norm
from kdcli.networks.zipdepth_layouts import Layout


class RepBlock(nn.Module):
    """A 3x3 and a 1x1 convolution side by side, each with its norm, the map itself where it fits, and a ReLU.

    The map itself has no norm, unlike RepVGG's. In every layout but ``branches`` it is one convolution.
    """

    def __init__(self, inputs: int, outputs: int, layout: Layout, *, stride: int = 1) -> None:
        super().__init__()
        self.fused = layout != "branches"
        self.shortcut = inputs == outputs and stride == 1
        if self.fused:
            self.fused_conv = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)
        else:
            self.branch_3x3 = nn.Sequential(
                nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False), Norm(outputs)
            )
            self.branch_1x1 = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), Norm(outputs))

    def forward(self, feature: Tensor) -> Tensor:
        """Return B x outputs x h/stride x w/stride."""
        if self.fused:
            return torch.relu(self.fused_conv(feature))
        total = self.branch_3x3(feature) + self.branch_1x1(feature)
        return torch.relu(total + feature if self.shortcut else total)


class ConvNorm(nn.Module):
    """A convolution, its norm and a ReLU."""

    def __init__(self, inputs: int, outputs: int, edge: int = 1, *, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, edge, stride=stride, padding=edge // 2, bias=False)
        self.bn = Norm(outputs)

    def forward(self, feature: Tensor) -> Tensor:
        """Return B x outputs x h/stride x w/stride."""
        return torch.relu(self.bn(self.conv(feature)))


class TwoDilations(nn.Module):
    """Add what two depthwise 3x3 convolutions see, the second at every other pixel; no activation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch1 = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.branch2 = nn.Conv2d(channels, channels, 3, padding=2, dilation=2, groups=channels, bias=False)
        self.bn = Norm(channels)

    def forward(self, feature: Tensor) -> Tensor:
        """Return a map of the same shape."""
        return feature + self.bn(self.branch1(feature) + self.branch2(feature))  # type: ignore[no-any-return]


class StripPooling(nn.Module):
    """Weigh every pixel by the means of its row and of its column."""

    def __init__(self, channels: int, layout: Layout) -> None:
        super().__init__()
        conv = nn.Conv2d(channels, channels, 1, groups=channels, bias=layout == "folded")
        self.gate_conv = nn.Sequential(conv, inner_norm(channels, layout))

    def forward(self, feature: Tensor) -> Tensor:
        """Return a map of the same shape."""
        strips = feature.mean(dim=3, keepdim=True) + feature.mean(dim=2, keepdim=True)
        return feature * torch.sigmoid(self.gate_conv(strips))


class SqueezeExcite(nn.Module):
    """Weigh channels by what two 1x1 convolutions make of their means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels // 8, 4)
        self.fc = nn.Sequential(
            nn.Conv2d(channels, hidden, 1, bias=False), nn.ReLU(), nn.Conv2d(hidden, channels, 1, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, feature: Tensor) -> Tensor:
        """Return a map of the same shape."""
        return feature * self.fc(feature.mean(dim=(2, 3), keepdim=True))  # type: ignore[no-any-return]


class GlobalContext(nn.Module):
    """Add to every pixel what two 1x1 convolutions make of the map's mean, weighed by a softmax over its pixels."""

    def __init__(self, channels: int, layout: Layout) -> None:
        super().__init__()
        hidden = max(channels // 4, 8)
        self.context_weight = nn.Conv2d(channels, 1, 1)
        self.transform = nn.Sequential(
            nn.Conv2d(channels, hidden, 1), inner_norm(hidden, layout), nn.ReLU(), nn.Conv2d(hidden, channels, 1)
        )

    def forward(self, feature: Tensor) -> Tensor:
        """Return a map of the same shape."""
        weights = torch.softmax(self.context_weight(feature).flatten(2), dim=2)
        # Weights first: LiteRT's converter (0.10) merges a map times a column with the convolution behind it, wrongly.
        context = (weights.to(feature.dtype) @ feature.flatten(2).transpose(1, 2)).transpose(1, 2)
        return feature + self.transform(context.unsqueeze(-1))  # type: ignore[no-any-return]


class PooledPyramid(nn.Module):
    """SPPF: the map and what three maxima over 5x5 windows, one after the other, make of it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.cv1 = ConvNorm(channels, channels // 4)
        self.cv2 = ConvNorm(4 * (channels // 4), channels)

    def forward(self, feature: Tensor) -> Tensor:
        """Return a map of the same shape."""
        maps = [self.cv1(feature)]
        for _ in range(3):
            maps.append(functional.max_pool2d(maps[-1], 5, stride=1, padding=2))
        return self.cv2(torch.cat(maps, dim=1))  # type: ignore[no-any-return]


class CrossScale(nn.Module):
    """Add to each of two maps, of which one is half as large, a share of what the other says."""

    SHARE = 0.3

    def __init__(self, fine: int, coarse: int) -> None:
        super().__init__()
        self.low_to_high = nn.Conv2d(coarse, fine, 1, groups=4, bias=False)
        self.high_to_low = nn.Conv2d(fine, coarse, 1, groups=4, bias=False)

    def forward(self, fine: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor]:
        """Return both; the fine map is twice as high and as wide as the coarse one."""
        up = functional.interpolate(self.low_to_high(coarse), size=fine.shape[-2:], mode="nearest")
        down = functional.avg_pool2d(self.high_to_low(fine), 2)
        return fine + self.SHARE * up, coarse + self.SHARE * down


def inner_norm(channels: int, layout: Layout) -> nn.Module:
    """Return the norm after a convolution in a ``Sequential``, which the last layout has folded into it."""
    return nn.Identity() if layout == "folded" else Norm(channels)
