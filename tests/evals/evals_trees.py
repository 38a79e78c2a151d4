"""Small folders of images with depth, and of predictions as tools write them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kdcli.images import write_depth_npy, write_image
from kdcli.sources import load_source

IDS = ("0001", "0002", "0003", "0004")


def picture(seed: int, size: tuple[int, int] = (48, 64)) -> tuple[Tensor, Tensor]:
    """Return an image whose colours are whole 255ths, and depth that follows its brightness, 1..9 metres."""
    generator = torch.Generator().manual_seed(seed)
    image = (255 * torch.rand(3, *size, generator=generator)).round() / 255
    return image, 1 + 8 * torch.rand(size, generator=generator)


def tree(root: Path, ids: tuple[str, ...] = IDS, size: tuple[int, int] = (48, 64)) -> Any:
    """Write a folder of images and one of depth and return them as a source."""
    for i, name in enumerate(ids):
        image, depth = picture(i, size)
        for folder in ("rgb", "depth"):
            (root / folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_image(root / "rgb" / f"{name}.png", image)
        write_depth_npy(root / "depth" / f"{name}.npy", depth)
    return load_source(f"folder:{root}/rgb,depths={root}/depth,recursive=true")


def said(seed: int, size: tuple[int, int] = (48, 64)) -> np.ndarray[Any, Any]:
    """Return what a tool says of an image: a known function of it, 0.5..9.5."""
    image, _ = picture(seed, size)
    return (0.5 + 9 * image.mean(0)).numpy()


def predict(
    folder: Path, write: Callable[[Path, np.ndarray[Any, Any]], None], ending: str, ids: tuple[str, ...] = IDS,
    size: tuple[int, int] = (48, 64), name: str = "{}",
) -> Path:
    """Write what the tool says of each image with a writer of files."""
    for i, image_id in enumerate(ids):
        path = folder / f"{name.format(image_id)}{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, said(i, size))
    return folder
