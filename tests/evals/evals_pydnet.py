"""Two small published networks, rebuilt from their description, to check measured numbers against known ones."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdcli.types import DepthKind, Prediction

WIDTHS = (16, 32, 64, 96, 128, 192)


def _slope() -> nn.Module:
    return nn.LeakyReLU(0.2)


class MobilePydnet(nn.Module):
    """A pyramid that answers in negative disparity, 192 x 640 in."""

    def __init__(self, weights: Path) -> None:
        super().__init__()
        previous = 3
        for i, width in enumerate(WIDTHS):
            block = nn.Sequential(
                nn.Conv2d(previous, width, 3, 2, 1), _slope(), nn.Conv2d(width, width, 3, 1, 1), _slope()
            )
            setattr(self, f"conv{i}", block)
            layers: list[nn.Module] = []
            inside = width if i == 5 else width + 8
            for outside in (96, 64, 32):
                layers += [nn.Conv2d(inside, outside, 3, 1, 1), _slope()]
                inside = outside
            setattr(self, f"decoder{i}", nn.Sequential(*layers, nn.Conv2d(32, 8, 3, 1, 1)))
            previous = width
        up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        self.deconv = nn.Sequential(up, nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(8, 8, 2))
        self.regressor = nn.Conv2d(8, 1, 3, 1, 1)
        self.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))

    def forward(self, image: Tensor) -> Prediction:
        features = []
        for i in range(6):
            image = getattr(self, f"conv{i}")(image)
            features.append(image)
        y = self.decoder5(features[5])
        for i in range(4, -1, -1):
            y = getattr(self, f"decoder{i}")(torch.cat([features[i], self.deconv(y)], 1))
        return Prediction(depth=-self.regressor(y), kind=DepthKind.AFFINE_DISPARITY)


class PydnetPlusPlus(nn.Module):
    """A pyramid that answers in depth up to a factor and an offset, 448 x 640 in."""

    def __init__(self, weights: Path) -> None:
        super().__init__()
        state = torch.load(weights, map_location="cpu", weights_only=True)
        self.state = {key: nn.Parameter(value, requires_grad=False) for key, value in state.items()}

    def _conv(self, x: Tensor, name: str, *, stride: int = 1, active: bool = True) -> Tensor:
        x = F.pad(x, (0, 1, 0, 1)) if stride == 2 else F.pad(x, (1, 1, 1, 1))
        x = F.conv2d(x, self.state[f"{name}.weight"], self.state[f"{name}.bias"], stride)
        return F.leaky_relu(x, 0.2) if active else x

    def forward(self, image: Tensor) -> Prediction:
        features = []
        for n in range(1, 7):
            image = self._conv(self._conv(image, f"encoder.conv{n}a", stride=2), f"encoder.conv{n}b")
            features.append(image)
        y: Tensor | None = None
        for level in range(6, 0, -1):
            x, name = features[level - 1], f"decoder.L{level}"
            if y is not None:
                x = torch.cat([x, y], 1)
            for step in (3, 4, 5, 6):
                x = self._conv(x, f"{name}.disp{step}", active=step < 6)
            if level > 1:
                up = f"{name}.upsampler"
                y = F.leaky_relu(F.conv_transpose2d(x, self.state[f"{up}.weight"], self.state[f"{up}.bias"], 2), 0.2)
        return Prediction(depth=self._conv(x, "decoder.L1.head"), kind=DepthKind.AFFINE_DEPTH)
