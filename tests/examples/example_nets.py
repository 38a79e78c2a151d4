"""Networks and pictures that the examples are tried on."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

import kdcli
from kdcli.plugins import registry
from kdcli.types import DepthKind, MadeFor, Prediction, Provenance

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NEAR = 1e-3
"""What two programs' maps of one picture may differ by, relative to the largest depth."""


class Small(nn.Module):
    """A network of two layers whose colours are not alike, of any kind and range, made for any size."""

    taps: ClassVar[dict[str, object]] = {}

    def __init__(self, kind: str = "metric", furthest: float = 20.0, made_for: MadeFor | None = None) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.depth_kind, self.depth_range = DepthKind(kind), (0.0, furthest)
        self.down, self.out = nn.Conv2d(3, 8, 5, stride=2, padding=2), nn.Conv2d(8, 1, 3, padding=1)
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.5
        self.provenance = Provenance(name="small", licence="MIT", training_data="none")
        if made_for is not None:
            self.made_for = made_for

    def forward(self, image: Tensor) -> Prediction:
        """Predict at half the size."""
        depth = functional.softplus(self.out(functional.relu(self.down(image)))) + 0.1
        return Prediction(depth=depth, kind=self.depth_kind)


def student() -> Any:
    """Return the embedded default's student, of a few steps on simulated rooms: its maps have a shape by then."""
    torch.manual_seed(0)
    model = registry.build("student", "mobilenet")
    rooms = [kdcli.load_source("sim:rooms,count=8,seed=7,size=64x96")[i] for i in range(8)]
    images, depths = torch.stack([one.image for one in rooms]), torch.stack([one.depth for one in rooms])
    learning = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(6):
        depth = functional.interpolate(model(images).depth, (64, 96), mode="bilinear")
        loss = (depth.log() - depths.log()).abs().mean()
        learning.zero_grad()
        loss.backward()
        learning.step()
    model.made_for = MadeFor(train_size=(64, 96), eval_size=(64, 96), domain="indoor", near=0.1, far=10.0)
    return model.eval()


def room(number: int, size: str = "240x320") -> np.ndarray:
    """Return a picture that the simulator renders, H x W x 3 bytes."""
    image = kdcli.load_source(f"sim:rooms,count=20,seed=1000,size={size}")[number].image
    return (image.permute(1, 2, 0) * 255).round().byte().numpy()


def write(picture: np.ndarray, path: Path) -> Path:
    """Write a picture and return where."""
    Image.fromarray(picture).save(path)
    return path


def python_example() -> ModuleType:
    """Return the example in Python as a module."""
    sys.path.insert(0, str(EXAMPLES / "python"))
    try:
        import depth
    finally:
        sys.path.pop(0)
    return depth


def far(found: np.ndarray, right: np.ndarray) -> float:
    """Return the largest difference of two maps, relative to the largest depth."""
    assert found.shape == right.shape and np.isfinite(found).all()
    return float(np.abs(found - right).max() / np.abs(right).max())
