"""BTS, "From Big to Small" (Lee et al. 2019, arXiv 1907.10326): an encoder, and a decoder led by local planes.

Layers have the names of the authors' PyTorch version (cleinc/bts), so that its weights fit as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.networks.backbone import timm_network
from kdcli.networks.planar import Guidance, Planes, Reduction, widened
from kdcli.types import Pretrained

ENCODERS = {
    "resnet50": ("resnet50.tv_in1k", (64, 256, 512, 1024, 2048)),
    "densenet161": ("densenet161.tv_in1k", (96, 96, 192, 384, 2208)),
}
"""Backbone -> timm's name, channels of its maps at a half, a quarter ... a 32nd of the image."""

WIDTH = 512
"""Channels of the decoder's first layer; those of the others follow by halving."""

RATES = (3, 6, 12, 18, 24)
"""Dilations of the dense atrous pyramid; each branch sees what those before it gave."""


class BtsNet(nn.Module):
    """The network on normalised images whose sides are multiples of 32, B x 3 x H x W.

    Args:
        backbone: key of ``ENCODERS``.
        max_depth: upper end of the sigmoid, metres.
        classifier: keep ResNet's last layer, which nothing uses; the authors' files hold it.
        bias: give the last convolution a bias.
        pretrained: begin with ImageNet weights in the encoder.
    """

    def __init__(
        self, backbone: str, *, max_depth: float, classifier: bool = True, bias: bool = False,
        pretrained: Pretrained = False,
    ) -> None:
        super().__init__()
        name, channels = ENCODERS[backbone]
        if backbone == "densenet161":
            self.encoder: nn.Module = DenseNetEncoder(name, pretrained=pretrained)
        else:
            self.encoder = ResNetEncoder(name, classifier=classifier, pretrained=pretrained)
        self.decoder = Decoder(channels, max_depth=max_depth, bias=bias)

    def forward(self, image: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
        """Return depth B x 1 x H x W and the depth of the planes of cells of 8, 4 and 2 pixels, alike."""
        return self.decoder(self.encoder(image))  # type: ignore[no-any-return]


class ResNetEncoder(nn.Module):
    """ResNet of timm; gives the stem and the four stages."""

    def __init__(self, name: str, *, classifier: bool, pretrained: Pretrained) -> None:
        super().__init__()
        without = {} if classifier else {"num_classes": 0}
        self.base_model: Any = timm_network(name, pretrained=pretrained, **without)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return maps of stride 2, 4, 8, 16 and 32."""
        net = self.base_model
        maps = [net.act1(net.bn1(net.conv1(image)))]
        feature = net.maxpool(maps[0])
        for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
            feature = stage(feature)
            maps.append(feature)
        return maps


class DenseNetEncoder(nn.Module):
    """DenseNet of timm without its classifier; gives the stem before and after pooling, two transitions and the end."""

    def __init__(self, name: str, *, pretrained: Pretrained) -> None:
        super().__init__()
        self.base_model: Any = timm_network(name, pretrained=pretrained, num_classes=0, global_pool="").features

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return maps of stride 2, 4, 8, 16 and 32."""
        net = self.base_model
        # timm's norms hold the ReLU that follows them. The last one's is that with which the authors begin the decoder;
        # what ResNet gives is positive as it is.
        stem = net.norm0(net.conv0(image))
        pooled = net.pool0(stem)
        eighth = net.transition1(net.denseblock1(pooled))
        sixteenth = net.transition2(net.denseblock2(eighth))
        end = net.norm5(net.denseblock4(net.transition3(net.denseblock3(sixteenth))))
        return [stem, pooled, eighth, sixteenth, end]


class Decoder(nn.Module):
    """Double the map five times; the planes found on the way are shown to the layers at the end, and to the next one.

    channels: of maps at a half, a quarter ... a 32nd of the image.
    """

    def __init__(self, channels: Sequence[int], *, max_depth: float, bias: bool) -> None:
        super().__init__()
        half, quarter, eighth, sixteenth, end = channels
        w = [WIDTH >> i for i in range(5)]  # 512, 256, 128, 64, 32
        self.max_depth = max_depth
        self.upconv5, self.bn5 = UpConv(end, w[0]), _norm(w[0])
        self.conv5 = _conv_elu(w[0] + sixteenth, w[0])
        self.upconv4, self.bn4 = UpConv(w[0], w[1]), _norm(w[1])
        self.conv4, self.bn4_2 = _conv_elu(w[1] + eighth, w[1]), _norm(w[1])
        for i, rate in enumerate(RATES):
            inputs = w[1] if i == 0 else w[1] + eighth + i * w[2]
            self.add_module(f"daspp_{rate}", Atrous(inputs, w[2], rate, norm_first=i > 0))
        self.daspp_conv = _conv_elu(w[1] + len(RATES) * w[2], w[2])
        self.reduc8x8, self.lpg8x8 = Planes(w[2], w[2], max_depth=max_depth), Guidance(8)
        self.upconv3, self.bn3 = UpConv(w[2], w[2]), _norm(w[2])
        self.conv3 = _conv_elu(w[2] + quarter + 1, w[2])
        self.reduc4x4, self.lpg4x4 = Planes(w[2], w[3], max_depth=max_depth), Guidance(4)
        self.upconv2, self.bn2 = UpConv(w[2], w[3]), _norm(w[3])
        self.conv2 = _conv_elu(w[3] + half + 1, w[3])
        self.reduc2x2, self.lpg2x2 = Planes(w[3], w[4], max_depth=max_depth), Guidance(2)
        self.upconv1 = UpConv(w[3], w[4])
        self.reduc1x1 = Reduction(w[4], w[4] // 2, name="final", outputs=1)
        self.conv1 = _conv_elu(w[4] + 4, w[4])
        self.get_depth = nn.Sequential(nn.Conv2d(w[4], 1, 3, padding=1, bias=bias))
        self.apply(_draw)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
        """Return depth, and the depth of the planes of cells of 8, 4 and 2 pixels: B x 1 x H x W in metres."""
        half, quarter, eighth, sixteenth, end = maps
        feature = self.conv5(torch.cat([self.bn5(self.upconv5(end)), sixteenth], dim=1))
        feature = self.pyramid(torch.cat([self.bn4(self.upconv4(feature)), eighth], dim=1))
        depth8 = self.lpg8x8(self.reduc8x8(feature))
        scaled8 = (depth8 / self.max_depth).to(feature.dtype)
        feature = self.conv3(torch.cat([self.bn3(self.upconv3(feature)), quarter, scaled8[..., ::4, ::4]], dim=1))
        depth4 = self.lpg4x4(self.reduc4x4(feature))
        scaled4 = (depth4 / self.max_depth).to(feature.dtype)
        feature = self.conv2(torch.cat([self.bn2(self.upconv2(feature)), half, scaled4[..., ::2, ::2]], dim=1))
        depth2 = self.lpg2x2(self.reduc2x2(feature))
        scaled2 = (depth2 / self.max_depth).to(feature.dtype)
        feature = self.upconv1(feature)
        feature = self.conv1(torch.cat([feature, self.reduc1x1(feature), scaled2, scaled4, scaled8], dim=1))
        return torch.sigmoid(widened(self.get_depth(feature))) * self.max_depth, (depth8, depth4, depth2)

    def pyramid(self, feature: Tensor) -> Tensor:
        """Look ever further around with dilated convolutions: B x 128 x h x w."""
        first = self.bn4_2(self.conv4(feature))
        parts = [first, self.get_submodule(f"daspp_{RATES[0]}")(first)]
        for rate in RATES[1:]:
            feature = torch.cat([feature, parts[-1]], dim=1)
            parts.append(self.get_submodule(f"daspp_{rate}")(feature))
        return self.daspp_conv(torch.cat(parts, dim=1))  # type: ignore[no-any-return]


class UpConv(nn.Module):
    """Double the map by repeating pixels, then a 3x3 convolution and ELU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)

    def forward(self, feature: Tensor) -> Tensor:
        """Return B x outputs x 2h x 2w."""
        return functional.elu(self.conv(functional.interpolate(feature, scale_factor=2, mode="nearest")))


class Atrous(nn.Module):
    """A branch of the pyramid: 1x1 to twice the outputs, then dilated 3x3, each after a ReLU."""

    def __init__(self, inputs: int, outputs: int, rate: int, *, norm_first: bool) -> None:
        super().__init__()
        self.atrous_conv = nn.Sequential()
        if norm_first:
            self.atrous_conv.add_module("first_bn", _norm(inputs))
        self.atrous_conv.add_module("aconv_sequence", nn.Sequential(
            nn.ReLU(), nn.Conv2d(inputs, 2 * outputs, 1, bias=False), nn.BatchNorm2d(2 * outputs, momentum=0.01),
            nn.ReLU(), nn.Conv2d(2 * outputs, outputs, 3, padding=rate, dilation=rate, bias=False),
        ))

    def forward(self, feature: Tensor) -> Tensor:
        """Return B x outputs x h x w."""
        return self.atrous_conv(feature)  # type: ignore[no-any-return]


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1.1e-5, momentum=0.01)


def _conv_elu(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.ELU())


def _draw(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
