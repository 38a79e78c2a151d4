"""Small trees of images in the layouts that the documents name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import trees
from PIL import Image

VIDEO = 154
"""Frames of a recording of which the documents take 150 for training and the rest for measuring."""


def nyu(root: Path) -> None:
    """NYU as its official splits are unpacked."""
    for split, count in (("train", 3), ("test", 2)):
        scene = root / "official_splits" / split / "kitchen"
        for i in range(count):
            trees.photo(scene / f"rgb_{i:05}.jpg", 480, 640, i)
            trees.depth(scene / f"sync_depth_{i:05}.png", 480, 640, 2500)


def kitti(root: Path) -> None:
    trees.kitti(root, 2, 375, 1242)


def kitchen(root: Path) -> None:
    """Colour and depth in folders of their own."""
    trees.rgbd(root, VIDEO)


def seven_scenes(root: Path) -> None:
    """A recording as 7-Scenes has it: two files a frame, side by side."""
    for i in range(VIDEO):
        trees.photo(root / f"frame-{5 * i:06}.color.jpg", 48, 64, i)
        trees.depth(root / f"frame-{5 * i:06}.depth.png", 48, 64, 2000)


def scenenet(root: Path) -> None:
    """Two trajectories with object ids, and no protobuf."""
    ids = np.repeat(np.array([0, 1, 2, 3, 700], np.uint16), 64)[None].repeat(240, 0)
    for trajectory in ("0/5", "0/12"):
        for frame in (0, 25):
            folder = root / "val" / trajectory
            trees.photo(folder / "photo" / f"{frame}.jpg", 240, 320, frame)
            trees.depth(folder / "depth" / f"{frame}.png", 240, 320, 3000)
            (folder / "instance").mkdir(exist_ok=True)
            Image.fromarray(ids).save(folder / "instance" / f"{frame}.png")


def photos(root: Path) -> None:
    trees.photos(root, 6, 120, 160)


def streets(root: Path) -> None:
    trees.photos(root, 3, 120, 400)


def photo(path: Path) -> None:
    trees.photo(path, 240, 320)


def depth(path: Path) -> None:
    trees.depth(path, 240, 320, 2000)


def disparities(root: Path) -> None:
    """Predictions of the test images of NYU, scene and frame in one name."""
    root.mkdir(parents=True)
    for i in range(2):
        np.save(root / f"kitchen_rgb_{i:05}.npy", np.linspace(0, 9, 480 * 640, dtype=np.float32).reshape(480, 640))


def metric_predictions(root: Path) -> None:
    for i in range(2):
        trees.depth(root / "kitchen" / f"rgb_{i:05}.png", 480, 640, 600)


def device_outputs(root: Path) -> None:
    root.mkdir(parents=True)
    for i in range(6):
        (root / f"{i}.raw").write_bytes(np.full((120, 160), 1.5, "<f4").tobytes())
