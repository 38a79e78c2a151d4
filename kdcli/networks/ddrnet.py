"""DDRNet-23-slim (Hong et al., arXiv 2101.06085): a branch that keeps an eighth of the size, and one that halves on.

The encoder of GuideDepth, with the names of its checkpoints. Maps travel between layers before their ReLU: a layer's
last block leaves it out, and whoever takes the map applies it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.networks.norms import Norm

PLANES = 32
"""Channels of the first stage; later ones have multiples."""

BRANCH = 128
"""Channels of each branch of the pyramid pooling."""


class DdrNetSlim(nn.Module):
    """Images B x 3 x H x W to a map B x outputs x H/8 x W/8; H and W are multiples of 8."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        wide = 2 * PLANES
        self.conv1 = nn.Sequential(
            nn.Conv2d(3, PLANES, 3, stride=2, padding=1), Norm(PLANES), nn.ReLU(inplace=True),
            nn.Conv2d(PLANES, PLANES, 3, stride=2, padding=1), Norm(PLANES), nn.ReLU(inplace=True),
        )
        self.layer1 = _layer(PLANES, PLANES)
        self.layer2 = _layer(PLANES, wide, stride=2)
        self.layer3 = _layer(wide, 2 * wide, stride=2)
        self.layer4 = _layer(2 * wide, 4 * wide, stride=2)
        self.layer5 = nn.Sequential(Bottleneck(4 * wide, stride=2))
        # The branch that keeps its size, and the bridges between the two.
        self.layer3_ = _layer(wide, wide)
        self.layer4_ = _layer(wide, wide)
        self.layer5_ = nn.Sequential(Bottleneck(wide))
        self.compression3 = nn.Sequential(nn.Conv2d(2 * wide, wide, 1, bias=False), Norm(wide))
        self.compression4 = nn.Sequential(nn.Conv2d(4 * wide, wide, 1, bias=False), Norm(wide))
        self.down3 = nn.Sequential(_halve(wide, 2 * wide), Norm(2 * wide))
        self.down4 = nn.Sequential(
            _halve(wide, 2 * wide), Norm(2 * wide), nn.ReLU(inplace=True), _halve(2 * wide, 4 * wide), Norm(4 * wide)
        )
        self.spp = PyramidPooling(8 * wide, 2 * wide)
        self.final_layer = Head(2 * wide, wide, outputs)

    def forward(self, image: Tensor) -> Tensor:
        """Return the map, without an activation."""
        fine = self.layer2(torch.relu(self.layer1(self.conv1(image))))
        coarse, fine = self.layer3(torch.relu(fine)), self.layer3_(torch.relu(fine))
        coarse, fine = (
            coarse + self.down3(torch.relu(fine)), fine + _resize(self.compression3(torch.relu(coarse)), fine)
        )
        coarse, fine = self.layer4(torch.relu(coarse)), self.layer4_(torch.relu(fine))
        coarse, fine = (
            coarse + self.down4(torch.relu(fine)), fine + _resize(self.compression4(torch.relu(coarse)), fine)
        )
        fine = self.layer5_(torch.relu(fine))
        context = self.spp(self.layer5(torch.relu(coarse)))
        return self.final_layer(fine + _resize(context, fine))  # type: ignore[no-any-return]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1, activate: bool = True) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = Norm(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = Norm(outputs)
        if stride != 1 or inputs != outputs:
            self.downsample = _shortcut(inputs, outputs, stride)
        else:
            self.downsample = nn.Sequential()
        self.activate = activate

    def forward(self, feature: Tensor) -> Tensor:
        """Return B x outputs x h/stride x w/stride."""
        inner = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(feature)))))
        total = inner + self.downsample(feature)
        return torch.relu(total) if self.activate else total


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions that double the channels, with a shortcut and without an activation at the end."""

    def __init__(self, channels: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 1, bias=False)
        self.bn1 = Norm(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn2 = Norm(channels)
        self.conv3 = nn.Conv2d(channels, 2 * channels, 1, bias=False)
        self.bn3 = Norm(2 * channels)
        self.downsample = _shortcut(channels, 2 * channels, stride)

    def forward(self, feature: Tensor) -> Tensor:
        """Return B x 2C x h/stride x w/stride."""
        inner = torch.relu(self.bn1(self.conv1(feature)))
        inner = torch.relu(self.bn2(self.conv2(inner)))
        return self.bn3(self.conv3(inner)) + self.downsample(feature)  # type: ignore[no-any-return]


class PyramidPooling(nn.Module):
    """Deep aggregation pyramid pooling (DAPPM): averages over ever larger windows, each added to the one before it."""

    WINDOWS = ((5, 2), (9, 4), (17, 8))
    """Edge and stride of the pooling windows; a fourth covers the whole map."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.scale0 = nn.Sequential(*_point(inputs, BRANCH))
        for i, (edge, stride) in enumerate(self.WINDOWS, start=1):
            self.add_module(f"scale{i}", Pooled(edge, stride, inputs, BRANCH))
        # One number per channel needs no resizing: it is added to every pixel.
        self.scale4 = nn.Sequential(nn.AdaptiveAvgPool2d(1), *_point(inputs, BRANCH))
        for i in range(1, 5):
            conv = nn.Conv2d(BRANCH, BRANCH, 3, padding=1, bias=False)
            self.add_module(f"process{i}", nn.Sequential(Norm(BRANCH), nn.ReLU(inplace=True), conv))
        self.compression = nn.Sequential(*_point(5 * BRANCH, outputs))
        self.shortcut = nn.Sequential(*_point(inputs, outputs))

    def forward(self, feature: Tensor) -> Tensor:
        """Return B x outputs x h x w."""
        maps = [self.scale0(feature)]
        for i in range(1, 5):
            pooled = self.get_submodule(f"scale{i}")(feature)
            maps.append(self.get_submodule(f"process{i}")(pooled + maps[-1]))
        return self.compression(torch.cat(maps, dim=1)) + self.shortcut(feature)  # type: ignore[no-any-return]


class Pooled(nn.Sequential):
    """Average over windows, then norm, ReLU and a 1x1 convolution, enlarged to the size that the map had."""

    def __init__(self, edge: int, stride: int, inputs: int, outputs: int) -> None:
        super().__init__(nn.AvgPool2d(edge, stride=stride, padding=edge // 2), *_point(inputs, outputs))
        self.edge, self.stride = edge, stride

    def forward(self, feature: Tensor) -> Tensor:
        """Return B x outputs x h x w."""
        if not isinstance(feature.shape[-1], torch.SymInt):
            return _resize(super().forward(feature), feature)  # type: ignore[no-untyped-call]
        # Exported with open sizes. A map of one pixel, which a small example leaves, would fix the graph at that size,
        # so average at every pixel and take those that pooling keeps only while resizing: the same numbers.
        dense = functional.avg_pool2d(feature, self.edge, stride=1, padding=self.edge // 2)
        for layer in list(self)[1:]:
            dense = layer(dense)
        return resize_kept(resize_kept(dense, 2, self.stride), 3, self.stride)


class Head(nn.Module):
    """A 3x3 and a 1x1 convolution, each after norm and ReLU."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.bn1 = Norm(inputs)
        self.conv1 = nn.Conv2d(inputs, hidden, 3, padding=1, bias=False)
        self.bn2 = Norm(hidden)
        self.conv2 = nn.Conv2d(hidden, outputs, 1)

    def forward(self, feature: Tensor) -> Tensor:
        """Return B x outputs x h x w."""
        inner = self.conv1(torch.relu(self.bn1(feature)))
        return self.conv2(torch.relu(self.bn2(inner)))  # type: ignore[no-any-return]


def _layer(inputs: int, outputs: int, *, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(BasicBlock(inputs, outputs, stride=stride), BasicBlock(outputs, outputs, activate=False))


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), Norm(outputs))


def _halve(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)


def _point(inputs: int, outputs: int) -> tuple[nn.Module, nn.Module, nn.Module]:
    return Norm(inputs), nn.ReLU(inplace=True), nn.Conv2d(inputs, outputs, 1, bias=False)


def _resize(feature: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(feature, size=like.shape[-2:], mode="bilinear", align_corners=False)


def resize_kept(feature: Tensor, dim: int, stride: int) -> Tensor:
    """Keep every ``stride``-th row or column, and resize these linearly to as many as there were."""
    length = feature.shape[dim]
    kept = (length + stride - 1) // stride
    places = torch.arange(length, device=feature.device, dtype=torch.float32)
    source = ((places + 0.5) * (kept / length) - 0.5).clamp(min=0.0)
    before = source.floor()
    after = (before + 1.0).clamp(max=kept - 1)
    share = (source - before).unsqueeze(-1) if dim == 2 else source - before
    first, second = (feature.index_select(dim, (stride * i).long()) for i in (before, after))
    return torch.lerp(first, second, share.to(feature.dtype))
