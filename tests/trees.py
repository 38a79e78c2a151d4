"""Small made-up data sets in the layouts that people have, and a teacher that says what it was made for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from kdcli.choosing import Built
from kdcli.types import DepthKind, MadeFor, Prediction, Provenance

Command = Callable[..., Any]
"""``kdcli distill`` in this process: options in, JSON document and what was said out."""
ROOM = MadeFor(train_size=(64, 96), domain="indoor", near=0.1, far=8.0)
STREET = MadeFor(train_size=(352, 704), domain="driving", near=1e-3, far=80.0)
DAY, DRIVE = "2011_09_26", "2011_09_26_drive_0001_sync"


class StandIn(nn.Module):
    """Metric depth that follows an image's brightness."""

    depth_kind = DepthKind.METRIC
    provenance = Provenance(name="stand-in")

    def __init__(self, made_for: MadeFor | None, far: float = 10.0) -> None:
        super().__init__()
        self.made_for, self.depth_range, self.taps = made_for, (0.1, far), {}
        self.scale = nn.Parameter(torch.tensor(far - 0.1), requires_grad=False)

    def forward(self, image: Tensor) -> Prediction:
        return Prediction(depth=0.1 + self.scale * image.mean(1, keepdim=True), kind=self.depth_kind)


def built(made_for: MadeFor | None = ROOM, far: float = 10.0) -> Built:
    """Return a shelf on which a teacher 'mine' stands."""
    return Built(teachers={"mine": StandIn(made_for, far)})


def photo(path: Path, height: int, width: int, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def depth(path: Path, height: int, width: int, stored: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((height, width), stored, np.uint16)).save(path)


def photos(root: Path, count: int = 6, height: int = 48, width: int = 64) -> str:
    """Photographs alone."""
    for i in range(count):
        photo(root / f"{i:02}.png", height, width, i)
    return f"folder:{root}"


def objects(root: Path, count: int = 6) -> str:
    """Photographs with maps of object ids."""
    photos(root / "images", count)
    for i in range(count):
        depth(root / "instances" / f"{i:02}.png", 48, 64, 1 + i % 3)
    return f"folder:{root}"


def partly(root: Path, count: int, labelled: range) -> str:
    """Photographs of which some have depth, in millimetres."""
    photos(root / "images", count)
    for i in labelled:
        depth(root / "depth" / f"{i:02}.png", 48, 64, 2000 + 100 * i)
    return f"folder:{root}"


def rgbd(root: Path, count: int = 20, stored: int = 2000) -> str:
    """Colour and depth of a camera, in millimetres."""
    for i in range(count):
        photo(root / "rgb" / f"{i:02}.png", 48, 64, i)
        depth(root / "depth" / f"{i:02}.png", 48, 64, stored)
    return f"rgbd:{root},scale=1000"


def nyu(root: Path, *, split: bool, height: int = 48, width: int = 64) -> str:
    """NYU in the layout of BTS, with lists of both splits or without any list."""
    for part, count in (("train", 4), ("test", 2)):
        rows = []
        for i in range(count):
            name = f"scene_{part}/rgb_{i:05}.jpg", f"scene_{part}/sync_depth_{i:05}.png"
            photo(root / "sync" / name[0], height, width, i)
            depth(root / "sync" / name[1], height, width, 2500)
            rows.append(f"{name[0]} {name[1]} 518.8579\n")
        if split:
            (root / f"nyudepthv2_{part}_files_with_gt.txt").write_text("".join(rows))
    return f"nyu:{root}"


def kitti(root: Path, count: int = 5, height: int = 36, width: int = 124) -> str:
    """KITTI's raw and annotated trees."""
    for i in range(count):
        photo(root / "raw" / DAY / DRIVE / "image_02" / "data" / f"{i:010}.png", height, width, i)
        truth = root / "data_depth_annotated" / "train" / DRIVE / "proj_depth" / "groundtruth" / "image_02"
        depth(truth / f"{i:010}.png", height, width, 256 * 25)
    return f"kitti:{root}"
