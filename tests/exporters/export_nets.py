"""Small networks that tests export."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.types import DepthKind, Prediction, Provenance


class Net(nn.Module):
    """A small network that normalises inside, resizes, and has batch norm; its colours are not alike."""

    depth_kind = DepthKind.METRIC
    depth_range = (0.0, 20.0)
    taps: ClassVar[dict[str, object]] = {}

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.down = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.out = nn.Conv2d(8, 1, 3, padding=1)
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3
        self.norm.running_mean.uniform_(-0.2, 0.2, generator=generator)  # type: ignore[union-attr]
        self.provenance = Provenance(name="toy", licence="MIT", training_data="noise")

    def forward(self, image: Tensor) -> Prediction:
        feature = functional.relu(self.norm(self.down((image - 0.45) / 0.225)))
        feature = functional.interpolate(feature, scale_factor=2, mode="bilinear", align_corners=False)
        return Prediction(depth=functional.softplus(self.out(feature)) + 0.1, kind=self.depth_kind)
