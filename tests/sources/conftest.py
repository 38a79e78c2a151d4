"""Small made-up data sets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Maker = Callable[..., None]


@pytest.fixture
def photo() -> Maker:
    """Write a photograph; the seed makes it differ from others."""

    def write(path: Path, height: int = 12, width: int = 16, seed: int = 0) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)

    return write


@pytest.fixture
def depth16() -> Maker:
    """Write a 16-bit depth map of one value."""

    def write(path: Path, value: int = 2000, height: int = 12, width: int = 16) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((height, width), value, np.uint16)).save(path)

    return write
