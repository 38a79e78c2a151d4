"""A light decoder over a feature pyramid, for any input size and for every export format.

Only convolutions, batch norm, ReLU, addition and bilinear resizing occur. Each level is resized to the size that its
skip really has, so images need not be multiples of the coarsest stride.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional


class ConvBlock(nn.Sequential):
    """Convolve 3x3, normalise by batch statistics, rectify."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
        )


class Level(nn.Module):
    """Bring a coarse feature up to a finer one and fuse the two by addition."""

    def __init__(self, coarse: int, skip: int, outputs: int) -> None:
        super().__init__()
        # Channels are reduced before the resize: there are four times fewer pixels to do it on.
        self.reduce = nn.Conv2d(coarse, outputs, 1, bias=False)
        self.lateral = nn.Conv2d(skip, outputs, 1)
        self.fuse = ConvBlock(outputs, outputs)

    def forward(self, coarse: Tensor, skip: Tensor) -> Tensor:
        """Return B x outputs at the size of ``skip``."""
        return self.fuse(resize(self.reduce(coarse), skip.shape[-2], skip.shape[-1]) + self.lateral(skip))  # type: ignore[no-any-return]


class Doubling(nn.Module):
    """Double the size of a feature that has no skip."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.fuse = ConvBlock(outputs, outputs)

    def forward(self, feature: Tensor) -> Tensor:
        """Return B x outputs at twice the size."""
        reduced = self.reduce(feature)
        return self.fuse(resize(reduced, 2 * reduced.shape[-2], 2 * reduced.shape[-1]))  # type: ignore[no-any-return]


class Decoder(nn.Module):
    """Turn a pyramid, finest first, into one feature at stride 2 (at the pyramid's finest if that is finer).

    ``levels`` run from coarse to fine; ``widths`` and ``strides`` describe what each gives. The width doubles with
    each coarser level up to four times the finest: coarse levels have few pixels and cost little.
    """

    def __init__(self, channels: Sequence[int], reductions: Sequence[int], width: int = 16) -> None:
        super().__init__()
        doublings, stride = 0, reductions[0]
        while stride > 2:
            doublings, stride = doublings + 1, stride // 2
        count = len(channels) - 1 + doublings
        self.widths = tuple(width * min(4, 2**i) for i in reversed(range(count)))
        self.strides = (*reversed(reductions[:-1]), *(reductions[0] >> (i + 1) for i in range(doublings)))
        self.channels = self.widths[-1] if count else channels[0]
        coarse = channels[-1]
        levels: list[nn.Module] = []
        for i, outputs in enumerate(self.widths):
            skip = len(channels) - 2 - i
            levels.append(Level(coarse, channels[skip], outputs) if skip >= 0 else Doubling(coarse, outputs))
            coarse = outputs
        self.levels = nn.ModuleList(levels)

    def forward(self, pyramid: Sequence[Tensor]) -> Tensor:
        """Return the finest feature, B x ``channels`` x h x w. ``pyramid`` is finest first, B x C x h x w each."""
        feature = pyramid[-1]
        for i, level in enumerate(self.levels):
            skip = len(pyramid) - 2 - i
            feature = level(feature, pyramid[skip]) if skip >= 0 else level(feature)
        return feature


def resize(feature: Tensor, height: int, width: int) -> Tensor:
    """Resize bilinearly with pixel centres aligned (``align_corners=False``)."""
    return functional.interpolate(feature, size=(height, width), mode="bilinear", align_corners=False)
