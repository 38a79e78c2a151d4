"""NYU Depth v2 in its other forms, small: the labelled file with its splits, and FastDepth's HDF5 files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Array = np.ndarray[Any, Any]
SIZE = (12, 16)
SCENES = ("kitchen_0004", "kitchen_0004", "office_0021", "bathroom_0010")


def items() -> dict[str, Array]:
    """Return what the file holds in MATLAB's order of axes: rows, columns, (colours,) items."""
    rng = np.random.default_rng(5)
    count = len(SCENES)
    depths = rng.uniform(0.7, 9.9, (*SIZE, count)).astype(np.float32)
    labels, instances = np.zeros((*SIZE, count), np.uint16), np.zeros((*SIZE, count), np.uint8)
    labels[2:6, :, :], labels[6:9, :, :] = 3, 7
    instances[2:6, :8, :], instances[2:6, 8:, :], instances[6:9, :, :] = 1, 2, 1  # 1 of label 3 is not 1 of label 7
    return {
        "images": rng.integers(0, 256, (*SIZE, 3, count), dtype=np.uint8), "depths": depths,
        "rawDepths": np.where(depths > 5, 0, depths), "labels": labels, "instances": instances,
    }


def labelled(file: Path, version: int = 73, but: Sequence[str] = ()) -> dict[str, Array]:
    """Write the labelled file of MATLAB's version 5 or 7.3. but: arrays that it lacks."""
    held = {name: array for name, array in items().items() if name not in but}
    file.parent.mkdir(parents=True, exist_ok=True)
    if version == 5:
        io = pytest.importorskip("scipy.io")
        scenes = np.array(SCENES, object)[:, None]
        io.savemat(file, {**held, "scenes": scenes})
        return items()
    h5py = pytest.importorskip("h5py")
    with h5py.File(file, "w", userblock_size=512) as made:
        for name, array in held.items():
            made[name] = array.T  # HDF5 names axes the other way round
        texts = made.create_group("#refs#")
        for i, scene in enumerate(SCENES):
            texts[str(i)] = np.array([[ord(letter)] for letter in scene], np.uint16)
        made["scenes"] = np.array([[texts[str(i)].ref for i in range(len(SCENES))]], h5py.ref_dtype)
    return items()


def splits(file: Path, train: Sequence[int], test: Sequence[int]) -> None:
    """Write the file of splits, of version 5, counted from 1."""
    io = pytest.importorskip("scipy.io")
    columns = {name: np.array(numbers)[:, None] for name, numbers in (("trainNdxs", train), ("testNdxs", test))}
    io.savemat(file, columns)


def fastdepth(root: Path, trees: Sequence[str] = ("train", "val")) -> dict[str, Array]:
    """Write items as FastDepth has them, and return their depth by name."""
    h5py = pytest.importorskip("h5py")
    names = {"train": ("train/attic/00001.h5", "train/attic/00012.h5", "train/den/00002.h5"),
             "val": ("val/official/00001.h5",)}
    depths = {}
    for name in (name for tree in trees for name in names[tree]):
        rng = np.random.default_rng(len(depths))
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        depths[name] = rng.uniform(0.7, 9.9, SIZE).astype(np.float32)
        with h5py.File(root / name, "w") as made:
            made["rgb"] = rng.integers(0, 256, (3, *SIZE), dtype=np.uint8)
            made["depth"] = depths[name]
    return depths
