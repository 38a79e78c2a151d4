"""Small true trees of Virtual KITTI 2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

FRAMES = 3
HEIGHT, WIDTH = 15, 46
SCENES = ("Scene01", "Scene20")
VARIATIONS = ("clone", "fog")
WAYS = {
    "one": ("", "", "", ""),
    "archives": ("vkitti_2.0.3_rgb", "vkitti_2.0.3_depth", "vkitti_2.0.3_textgt", "vkitti_2.0.3_instanceSegmentation"),
    "short": ("rgb", "depth", "textgt", "instanceSegmentation"),
}
"""How users unpack the archives: folders of images, depth, text and ids."""
SKY = 65535


def vkitti2(root: Path, way: str = "one", *, ids: bool = True) -> np.ndarray[Any, Any]:
    """Write frames of two scenes in two variations and return the centimetres of each; the top row is sky."""
    images, depths, texts, instances = (root / name for name in WAYS[way])
    stored = np.random.default_rng(7).integers(200, 12000, (HEIGHT, WIDTH)).astype(np.uint16)
    stored[0] = SKY
    objects = np.zeros((HEIGHT, WIDTH), np.uint8)
    objects[5:9, 10:20], objects[5:9, 30:40] = 1, 4
    random = np.random.default_rng(8)
    for scene in SCENES:
        for variation in VARIATIONS:
            at = f"{scene}/{variation}"
            lines = ["frame cameraID K[0,0] K[1,1] K[0,2] K[1,2]"]
            for camera in (0, 1):
                for i in range(FRAMES):
                    colours = random.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
                    _save(Image.fromarray(colours), images / f"{at}/frames/rgb/Camera_{camera}/rgb_{i:05}.jpg")
                    _save(Image.fromarray(stored), depths / f"{at}/frames/depth/Camera_{camera}/depth_{i:05}.png")
                    if ids:
                        picture = Image.fromarray(objects, "P")
                        picture.putpalette([0, 0, 0, 200, 0, 0, 0, 200, 0, 0, 0, 200, 9, 9, 9])
                        _save(picture, instances / f"{at}/frames/instanceSegmentation/Camera_{camera}/"
                              f"instancegt_{i:05}.png")
                    lines.append(f"{i} {camera} 725.0087 725.0087 620.5 {187 + camera}")
            (texts / at).mkdir(parents=True, exist_ok=True)
            (texts / at / "intrinsic.txt").write_text("\n".join(lines) + "\n")
    return stored


def _save(picture: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)
