"""iBims-1 in its two forms, small: pictures in folders, and a MATLAB struct an image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Array = np.ndarray[Any, Any]
SIZE = (24, 32)
NAMES = ("corridor_02", "livingroom_01")
CAMERA = (564.5, 565.1, 320.2, 241.8)
"""fx, fy, cx, cy."""


def parts(name: str) -> dict[str, Array]:
    """Return what an image has; the depth in metres."""
    rng = np.random.default_rng(NAMES.index(name))
    invalid, transparent = np.ones(SIZE, np.uint8), np.ones(SIZE, np.uint8)
    invalid[:2], transparent[2:4] = 0, 0
    wall, floor = np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
    wall[4:12, :16], wall[4:12, 16:], floor[20:] = 1, 2, 1
    edges = np.zeros(SIZE, np.uint8)
    edges[:, 15] = 1
    depth = rng.uniform(0.5, 49, SIZE)
    depth[5, 5] = 0
    return {
        "rgb": rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8), "depth": depth, "edges": edges,
        "mask_invalid": invalid, "mask_transp": transparent, "mask_wall": wall, "mask_table": np.zeros(SIZE, np.uint8),
        "mask_floor": floor,
    }


def normals(kind: str) -> Array:
    """Return rows of plane parameters, the unit normal in columns 4 to 6."""
    count = {"wall": 2, "floor": 1, "table": 0}[kind]
    rows = np.zeros((count, 7))
    rows[:, 4:] = np.eye(3)[:count]
    return rows


def matlab(folder: Path) -> None:
    """Write ``ibims1_core_mat``."""
    io = pytest.importorskip("scipy.io")
    folder.mkdir(parents=True, exist_ok=True)
    fx, fy, cx, cy = CAMERA
    calib = np.array([[fx, 0, 0], [0, fy, 0], [cx, cy, 1]])  # turned over, as in the set
    for name in NAMES:
        planes = {f"mask_{kind}_paras": normals(kind) for kind in ("wall", "table", "floor")}
        io.savemat(folder / f"{name}.mat", {"data": {**parts(name), "calib": calib, **planes}})


def pictures(folder: Path, white: int = 1) -> None:
    """Write ``ibims1_core_raw``. white: what masks have where depth counts."""
    for name in NAMES:
        held = parts(name)
        for part, array in held.items():
            numbers = array
            if part == "depth":
                numbers = np.round(array * 65535 / 50).astype(np.uint16)
            elif part in ("mask_invalid", "mask_transp", "edges"):
                numbers = array * np.uint8(white)
            (folder / part).mkdir(parents=True, exist_ok=True)
            Image.fromarray(numbers).save(folder / part / f"{name}.png")
        (folder / "calib").mkdir(exist_ok=True)
        (folder / "calib" / f"{name}.txt").write_text(",".join(map(str, CAMERA)) + "\n")
    (folder / "imagelist.txt").write_text("".join(f"{name}\n" for name in reversed(NAMES)))
