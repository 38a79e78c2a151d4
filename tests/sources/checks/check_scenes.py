"""Made scenes in which what the eye sees and what depth measures have the same edges."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

HEIGHT, WIDTH = 96, 128
Change = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def scene(seed: int, height: int = HEIGHT, width: int = WIDTH) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Return a picture of boxes on a floor, h x w x 3, and its depth in metres, floor nearer further down."""
    numbers = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    depth = 6.0 - 4.0 * rows / height + 0.2 * columns / width
    picture = np.full((height, width, 3), numbers.integers(60, 200, 3), np.float64)
    for _ in range(8):
        top, left = numbers.integers(0, height - 24), numbers.integers(0, width - 32)
        box = np.s_[top : top + numbers.integers(12, 24), left : left + numbers.integers(14, 32)]
        depth[box] = depth[box].min() * numbers.uniform(0.5, 0.8)
        picture[box] = numbers.integers(0, 256, 3)
    picture += numbers.normal(0, 6, picture.shape)
    return picture.clip(0, 255).astype(np.uint8), depth


def tensors(seed: int, change: Change = lambda x: x) -> tuple[Tensor, Tensor]:
    """Return image and changed depth of a scene as samples have them."""
    picture, depth = scene(seed)
    image = torch.from_numpy(picture).permute(2, 0, 1).float() / 255
    return image, torch.from_numpy(np.ascontiguousarray(change(depth))).float()[None]


def write(
    root: Path, count: int = 8, change: Change = lambda x: x, scale: float = 1000, first: int = 0,
    store: Callable[[NDArray[np.float64]], NDArray[np.generic]] = lambda x: x.round().astype(np.uint16),
) -> str:
    """Write scenes as ``rgb/N.png`` and ``depth/N.png`` and return their spec; change: of the depth in metres."""
    for i in range(first, first + count):
        picture, depth = scene(i)
        for folder, array in (("rgb", picture), ("depth", store(change(depth) * scale))):
            (root / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.ascontiguousarray(array)).save(root / folder / f"{i}.png")
    return f"folder:{root}/rgb,depths={root}/depth"
