"""Small true trees of Hypersim, as published and as Marigold processed it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from trees_lasers import photograph

Array = np.ndarray[Any, np.dtype[Any]]
SIZE = (24, 32)
FOCAL = 886.81 * 32 / 1024
SCENES = {"ai_001_001": "train", "ai_003_010": "val"}
FRAMES = (0, 47)
WALL = 3.0


def rays() -> Array:
    """Length of the ray of each pixel at a depth of one metre."""
    y, x = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
    return np.sqrt(1 + ((x - 15.5) / FOCAL) ** 2 + ((y - 11.5) / FOCAL) ** 2)


def colours(seed: int) -> Array:
    return np.random.default_rng(seed).gamma(1.5, 0.4, (*SIZE, 3)).astype(np.float16)


def hypersim(root: Path, *, preview: bool = True, hdr: bool = True, table: bool = True) -> None:
    """Write two scenes of a flat wall in front of the camera.

    The first row was not hit and is no number, in the second row nothing has an entity. Two objects are on the wall.
    """
    h5py = pytest.importorskip("h5py")
    depth = (rays() * WALL).astype(np.float32)
    depth[0] = np.nan
    entity = np.full(SIZE, 5, np.int32)
    entity[:2] = -1
    objects = np.full(SIZE, -1, np.int32)
    objects[5:9, 5:9], objects[5:9, 20:25] = 3, 17
    rows = ["scene_name,camera_name,frame_id,included_in_public_release,exclude_reason,split_partition_name"]
    for number, (scene, split) in enumerate(SCENES.items()):
        for frame in FRAMES:
            images = root / scene / "images"
            if preview:
                name = f"scene_cam_00_final_preview/frame.{frame:04}.tonemap.jpg"
                photograph(images / name, SIZE, 100 * number + frame)
            files: dict[str, Array] = {
                "geometry_hdf5/{}.depth_meters.hdf5": depth, "geometry_hdf5/{}.render_entity_id.hdf5": entity,
                "geometry_hdf5/{}.semantic_instance.hdf5": objects,
            }  # fmt: skip
            if hdr:
                files["final_hdf5/{}.color.hdf5"] = colours(100 * number + frame)
            for name, array in files.items():
                path = images / f"scene_cam_00_{name.format(f'frame.{frame:04}')}"
                path.parent.mkdir(parents=True, exist_ok=True)
                with h5py.File(path, "w") as file:
                    file["dataset"] = array
            rows.append(f"{scene},cam_00,{frame},True,,{split}")
        rows.append(f"{scene},cam_00,99,False,bad,{split}")
    if table:
        (root / "metadata_images_split_scene_v1.csv").write_text("\n".join(rows) + "\n")


def processed(root: Path) -> Array:
    """Write Marigold's form of the same and return the millimetres of each."""
    stored = np.random.default_rng(3).integers(500, 20000, SIZE).astype(np.uint16)
    stored[0] = 0
    for number, (scene, split) in enumerate(SCENES.items()):
        for frame in FRAMES:
            end = f"cam_01_fr{frame:04}.png"
            photograph(root / split / scene / f"rgb_{end}", SIZE, 100 * number + frame)
            Image.fromarray(stored).save(root / split / scene / f"depth_plane_{end}")
    return stored
