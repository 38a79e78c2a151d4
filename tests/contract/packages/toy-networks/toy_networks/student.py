"""A student of a few thousand parameters."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.protocols import API_VERSION
from kdcli.types import DepthKind, Prediction, Tap

ACTIVATIONS = {"softplus": nn.Softplus, "hardsigmoid": nn.Hardsigmoid, "relu": nn.ReLU}


class Tiny(nn.Module):
    """Metric depth at half the image's size."""

    api_version: ClassVar[int] = API_VERSION

    def __init__(
        self, *, width: int = 8, activation: Literal["softplus", "hardsigmoid", "relu"] = "softplus",
        min_depth: float = 0.5, max_depth: float = 8.0, dropout: float = 0.0,
    ) -> None:
        super().__init__()
        make = ACTIVATIONS[activation]
        self.depth_kind, self.depth_range = DepthKind.METRIC, (min_depth, max_depth)
        self.enc1 = nn.Sequential(nn.Conv2d(3, width, 3, 2, 1), nn.BatchNorm2d(width), make())
        self.enc2 = nn.Sequential(nn.Conv2d(width, 2 * width, 3, 2, 1), nn.BatchNorm2d(2 * width), make())
        self.pre_head = nn.Conv2d(3 * width, width, 3, 1, 1)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Conv2d(width, 1, 1))
        self.taps = {
            "enc1": Tap(module="enc1", stride=2, channels=width),
            "enc2": Tap(module="enc2", stride=4, channels=2 * width),
            "pre_head": Tap(module="pre_head", stride=2, channels=width),
        }
        self.architecture = (
            f"tiny,width={width},activation={activation},min_depth={min_depth:g},max_depth={max_depth:g},dropout={dropout:g}"
        )

    def forward(self, image: Tensor) -> Prediction:
        """Predict depth, B x 1 x H/2 x W/2."""
        fine = self.enc1(image * 2 - 1)
        coarse = functional.interpolate(self.enc2(fine), size=fine.shape[-2:], mode="bilinear", align_corners=False)
        low, high = self.depth_range
        raw = self.head(torch.tanh(self.pre_head(torch.cat([fine, coarse], dim=1))))
        return Prediction(depth=low + (high - low) * raw.sigmoid(), kind=self.depth_kind)
