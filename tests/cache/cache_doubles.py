"""Teachers whose depth is known, and pictures to show them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from kdcli.cache import CacheKey, Shown, key_of, shown
from kdcli.types import DepthKind, Prediction, ReadOut


class Brightness(nn.Module):
    """Depth is a function of the image's brightness, at its own size; counts the images that it was asked for."""

    def __init__(self, kind: DepthKind = DepthKind.METRIC, read: ReadOut | None = None, slope: float = 8.0) -> None:
        super().__init__()
        self.depth_kind, self.depth_range = kind, (0.1, 80.0)
        self.taps: dict[str, object] = {}
        self.read_out = read or ReadOut()
        self.slope = nn.Parameter(torch.tensor(slope), requires_grad=False)
        self.asked = 0

    def forward(self, image: Tensor) -> Prediction:
        self.asked += len(image)
        # Not symmetric: the left half is farther, so that a mirrored view says something else.
        ramp = torch.linspace(1.0, 0.0, image.shape[-1], device=image.device)
        return Prediction(depth=1 + self.slope * image.mean(1, keepdim=True) + ramp, kind=self.depth_kind)


def key(model: nn.Module | None = None, size: tuple[int, int] = (6, 8), **options: str) -> CacheKey:
    return key_of("bright", model or Brightness(), size, **options)


def picture(seed: int = 0, size: tuple[int, int] = (6, 8), focal: float | None = None) -> Shown:
    return shown(f"day/{seed}.png", torch.rand(3, *size, generator=torch.Generator().manual_seed(seed)), focal)


def photo(path: Path, seed: int, size: tuple[int, int] = (40, 48)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)
