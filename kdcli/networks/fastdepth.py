"""FastDepth (Wofk et al., arXiv 1903.03273): MobileNet, five depthwise blocks that go up again, skips that are added.

Layer names are the authors'. NetAdapt pruned their network layer by layer, so every width is open here.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

FULL = (32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024, 512, 256, 128, 64, 32)
"""Channels after each of the 14 layers of the encoder and the 5 of the decoder."""

PRUNED = (16, 56, 88, 120, 144, 256, 408, 376, 272, 288, 296, 328, 480, 512, 200, 256, 120, 56, 16)
"""The same of the authors' pruned network."""

ENCODER = 14
"""How many of the widths are the encoder's."""

SKIPS = {2: 5, 3: 3, 4: 1}
"""Layer of the decoder -> layer of the encoder whose map is added to its enlarged one."""

_HALVING = (0, 2, 4, 6, 12)


class FastDepthNet(nn.Module):
    """The network on images of 0..1: B x 3 x H x W to depth B x 1 x H x W; H and W are multiples of 32."""

    def __init__(self, widths: Sequence[int] = FULL) -> None:
        """Build it; ``misfit(widths)`` must be None."""
        super().__init__()
        down, up = widths[:ENCODER], widths[ENCODER:]
        self.conv0 = nn.Sequential(
            nn.Conv2d(3, down[0], 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(down[0]), nn.ReLU6(inplace=True)
        )
        for i in range(1, ENCODER):
            self.add_module(f"conv{i}", _down(down[i - 1], down[i], stride=2 if i in _HALVING else 1))
        for i, (inputs, outputs) in enumerate(zip([down[-1], *up], up, strict=False), start=1):
            self.add_module(f"decode_conv{i}", nn.Sequential(
                _layer(nn.Conv2d(inputs, inputs, 5, padding=2, groups=inputs, bias=False)), _point(inputs, outputs),
            ))
        self.decode_conv6 = _point(up[-1], 1)

    def forward(self, image: Tensor) -> Tensor:
        """Return depth, which the last ReLU keeps from being negative."""
        feature, skips = image, {}
        for i in range(ENCODER):
            feature = self.get_submodule(f"conv{i}")(feature)
            if i in SKIPS.values():
                skips[i] = feature
        for i in range(1, 5):
            feature = _double(self.get_submodule(f"decode_conv{i}")(feature))
            if i in SKIPS:
                feature = feature + skips[SKIPS[i]]
        # The last layer looks at single pixels: it gives the same before they are doubled, for a quarter of the work.
        return _double(self.decode_conv6(self.get_submodule("decode_conv5")(feature)))


def misfit(widths: Sequence[int]) -> str | None:
    """Return what is wrong with widths, None when they make a network."""
    if len(widths) != len(FULL):
        return f"{len(widths)} widths, not {len(FULL)}"
    if min(widths) < 1:
        return f"a width of {min(widths)}"
    for decoder, encoder in SKIPS.items():
        ours, theirs = widths[ENCODER + decoder - 1], widths[encoder]
        if ours != theirs:
            return f"decode_conv{decoder} gives {ours} channels and conv{encoder}, which is added, {theirs}"
    return None


def _down(inputs: int, outputs: int, *, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, stride=stride, padding=1, groups=inputs, bias=False),
        nn.BatchNorm2d(inputs), nn.ReLU6(inplace=True),
        nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU6(inplace=True),
    )


def _point(inputs: int, outputs: int) -> nn.Sequential:
    return _layer(nn.Conv2d(inputs, outputs, 1, bias=False))


def _layer(conv: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels), nn.ReLU(inplace=True))


def _double(feature: Tensor) -> Tensor:
    return functional.interpolate(feature, scale_factor=2.0, mode="nearest")
