"""Light depth heads on inner features, for training only: they belong to a loss and are gone at export."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from kdcli.maps import full_precision, widen


class DepthBranch(nn.Module):
    """From B x C x h x w to depth B x 1 x h x w within a range, as the students' own heads do it, and its feature.

    depth = near (far / near) ** sigmoid(x); it begins about the geometric middle of the range.
    """

    def __init__(self, channels: int, near: float, far: float, *, hidden: int = 32) -> None:
        super().__init__()
        self.squeeze = nn.Sequential(
            nn.Conv2d(channels, hidden, 1, bias=False), nn.GroupNorm(math.gcd(hidden, 8), hidden), nn.ReLU()
        )
        self.head = nn.Conv2d(hidden, 1, 3, padding=1)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]
        self.floor, self.span = math.log(near), math.log(far / near)

    def begin_at(self, depth: float) -> None:
        """Begin at a depth in metres, kept a tenth of the range away from its ends; before the first update only."""
        share = min(max((math.log(max(depth, 1e-6)) - self.floor) / self.span, 0.1), 0.9)
        nn.init.constant_(self.head.bias, math.log(share / (1 - share)))  # type: ignore[arg-type]

    def forward(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        """Return depth and the hidden feature, B x hidden x h x w."""
        with full_precision(feature.device):
            hidden = self.squeeze(widen(feature))
            return torch.exp(self.floor + self.span * torch.sigmoid(self.head(hidden))), hidden
