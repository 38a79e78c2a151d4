"""Small tables of images and depth, as people save them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from datasets import Array2D, Dataset, DatasetDict, Features, Image, Sequence, Value
from PIL import Image as Pictures

SIZE = (6, 8)
ROWS = 5


def pixels(row: int) -> Any:
    return np.random.default_rng(row).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def metres(row: int) -> Any:
    """Depth that grows from left to right; one pixel without."""
    depth = np.linspace(1, 4, SIZE[0] * SIZE[1], dtype=np.float32).reshape(SIZE) + row
    depth[2, 3] = 0
    return depth


def table() -> Dataset:
    """Depth in all forms, and pictures that only look like it."""
    rows = range(ROWS)
    millimetres = [np.round(metres(row) * 1000).astype(np.uint16) for row in rows]
    columns = {
        "image": [Pictures.fromarray(pixels(row)) for row in rows],
        "depth_map": [Pictures.fromarray(metres(row)) for row in rows],
        "sixteen": [Pictures.fromarray(one) for one in millimetres],
        "array": [metres(row) for row in rows],
        "whole": list(millimetres),
        "grey": [Pictures.fromarray((metres(row) * 20).astype(np.uint8)) for row in rows],
        "colour": [Pictures.fromarray(pixels(row)) for row in rows],
        "small": [Pictures.fromarray(metres(row)[:, :5]) for row in rows],
        "objects": [Pictures.fromarray((metres(row) > 3).astype(np.uint8) * 9) for row in rows],
        "K": [[[100.0 + row, 0, 4], [0, 101, 3], [0, 0, 1]] for row in rows],
        "caption": ["a room"] * ROWS,
    }
    kinds: dict[str, Any] = dict.fromkeys(columns, Image()) | {
        "array": Array2D(SIZE, "float32"), "whole": Array2D(SIZE, "uint16"),
        "K": Sequence(Sequence(Value("float64"))), "caption": Value("string"),
    }
    return Dataset.from_dict(columns, features=Features(kinds))


def saved(folder: Path) -> Path:
    table().save_to_disk(str(folder))
    return folder


def parquet(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    table().to_parquet(str(file))
    return file


def splits(folder: Path) -> Path:
    whole = table()
    DatasetDict({"train": whole, "validation": whole.select([3, 4])}).save_to_disk(str(folder))
    return folder
