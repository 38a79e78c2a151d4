"""A small tree of SUN RGB-D: samples at three depths, files of irregular names, the toolbox's lists."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Array = np.ndarray[Any, Any]
SIZE = (24, 32)
SAMPLES = {
    "kv1/NYUdata/NYU0001": ("NYU0001.jpg", "NYU0001.png"),
    "kv1/b3dodata/img_0063": ("img_0063.jpg", "img_0063_abs.png"),
    "kv2/kinect2data/000002_2014-05-26_14-23-37_260595134347_rgbf000103-resize": ("0000103.jpg", "0000103.png"),
    "xtion/sun3ddata/brown_bm_1/brown_bm_1/0000001-000000020526": (
        "0000001-000000000000.jpg", "0000001-000000020526.png",
    ),
}  # fmt: skip
"""Folder -> names of its image and of its depth."""
OBJECTS = [
    {"object": 0, "x": [0, 32, 32, 0], "y": [0, 0, 24, 24]},  # a wall behind everything
    {"object": 4, "x": [2, 10, 10, 2], "y": [4, 4, 12, 12]},
    {"object": 4, "x": [20, 24, 24, 20], "y": [4, 4, 12, 12]},  # the same object, cut in two
    {"object": 2, "x": [1], "y": [1]},  # no area
]


def rotated(millimetres: Array) -> Array:
    """Return numbers as the set stores them: bits rotated by three."""
    numbers = millimetres.astype(np.uint16)
    return (numbers << np.uint16(3)) | (numbers >> np.uint16(13))


def depth_of(sample: str, filled: bool) -> Array:
    """Millimetres, some beyond 8.2 m, where rotating is more than multiplying; raw depth has holes."""
    depth = np.random.default_rng(list(SAMPLES).index(sample)).integers(500, 9900, SIZE)
    depth[0, :4] = 9000
    depth[5:9] = depth[5:9] if filled else 0
    return depth


def sunrgbd(root: Path, samples: Sequence[str] = tuple(SAMPLES)) -> None:
    """Write samples below ``root/SUNRGBD``."""
    for sample in samples:
        folder, (image, depth) = root / "SUNRGBD" / sample, SAMPLES[sample]
        for part in ("image", "depth", "depth_bfx", "fullres", "annotation2Dfinal"):
            (folder / part).mkdir(parents=True)
        pixels = np.random.default_rng(len(sample)).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "image" / image)
        Image.fromarray(pixels[:12]).save(folder / "fullres" / image)
        for part in ("depth", "depth_bfx"):
            Image.fromarray(rotated(depth_of(sample, part == "depth_bfx"))).save(folder / part / depth)
        numbers = ["529.5", "0", "365", "0", "529.5", "265", "0", "0", "1"]
        rows = [" ".join(numbers)] if "kv1" in sample else [" ".join(numbers[i : i + 3]) for i in (0, 3, 6)]
        (folder / "intrinsics.txt").write_text("\n".join(rows) + "\n")
        names = [{"name": "wall"}, None, {"name": "x"}, {}, {"name": "bed"}]
        document = {"frames": [{"polygon": OBJECTS}], "objects": names}
        (folder / "annotation2Dfinal" / "index.json").write_text(json.dumps(document))


def lists(root: Path, train: Sequence[str], test: Sequence[str]) -> Path:
    """Write ``allsplit.mat`` with the authors' folder in front and slashes at the end of some."""
    io = pytest.importorskip("scipy.io")
    path = root / "SUNRGBDtoolbox" / "traintestSUNRGBD" / "allsplit.mat"
    path.parent.mkdir(parents=True)

    def cells(samples: Sequence[str]) -> Array:
        texts = [f"/n/fs/sun3d/data/SUNRGBD/{name}{'/' * (i % 2)}" for i, name in enumerate(samples)]
        return np.array(texts, object)[None]

    parts = {"train": cells(train[:1]), "val": cells(train[1:])}
    io.savemat(path, {"alltrain": cells(train), "alltest": cells(test), "trainvalsplit": parts})
    return path
