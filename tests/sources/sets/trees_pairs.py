"""Small true trees with a data YAML, as ultralytics and libreyolo ask for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from trees_lasers import photograph

Array = np.ndarray[Any, np.dtype[Any]]
SIZE = (24, 32)
COUNT = {"train": 3, "val": 2}


def stored(seed: int, size: tuple[int, int] = SIZE) -> Array:
    """Return whole numbers with a hole."""
    numbers = np.random.default_rng(seed).integers(500, 9000, size).astype(np.uint16)
    numbers[:3, :3] = 0
    return numbers


def pairs(root: Path, *, depths: str = "depth", stem: str = "", yaml: str | None = "depth_scale: 1000\n") -> Path:
    """Write 16-bit maps beside photographs, and a YAML with some lines of one's own; return where that is."""
    for split, count in COUNT.items():
        for i in range(count):
            photograph(root / "images" / split / f"a.{i}.jpg", SIZE, i + len(split))
            path = root / depths / split / f"a.{i}{stem}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(stored(i)).save(path)
    if yaml is not None:
        text = "path: made-for-another-machine\ntrain: images/train\nval: images/val\nnc: 1\nnames:\n  0: depth\n"
        (root / "data.yaml").write_text(text + "channels: 3\n" + yaml + "download: |\n  raise SystemExit\n")
    return root / "data.yaml"
