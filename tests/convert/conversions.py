"""Small sources whose depth is known, and conversions of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from kdcli.convert import Asked, Report, convert
from kdcli.plugins import registry
from kdcli.protocols import Source
from kdcli.sources import load_source

HEIGHT, WIDTH = 48, 64
CAMERA = (60.0, 61.0, 31.5, 23.5)


def metres(number: int, far: float = 6.0) -> NDArray[np.float64]:
    """Return a slope from half a metre on, in whole millimetres, with a hole."""
    down, across = np.mgrid[0:HEIGHT, 0:WIDTH]
    depth = np.round(0.5 + (far - 0.5) * (across + down + number) / (HEIGHT + WIDTH + number - 2), 3)
    depth[10:14, 20:30] = 0
    return depth


def scene(root: Path, count: int = 3, *, far: float = 6.0, units: float | None = 1000, endings: str = "png") -> str:
    """Two scenes of colour beside depth, with a camera; units: None = floats."""
    for name in ("kitchen", "hall.2"):
        for number in range(count):
            path = root / name / "rgb" / f"{number:04}.{endings}"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(number).integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), np.uint8)
            Image.fromarray(pixels).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC).save(path)
            depth = root / name / "depth" / f"{number:04}.png"
            depth.parent.mkdir(exist_ok=True)
            grid = metres(number, far)
            if units is None:
                np.save(depth.with_suffix(".npy"), grid.astype(np.float32))
            else:
                Image.fromarray(np.round(grid * units).astype(np.uint16)).save(depth)
        fx, fy, cx, cy = CAMERA
        (root / name / "camera-intrinsics.txt").write_text(f"{fx} 0 {cx}\n0 {fy} {cy}\n0 0 1\n")
    return f"rgbd:{root}"


def written(data: str, out: Path, layout: str = "shards", *, limit: int | None = None, workers: int = 0,
            **wishes: Any) -> Report:
    return convert(Asked(data=data, layout=layout, **wishes), out, limit=limit, workers=workers)


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def readable(spec: str) -> Source | None:
    """Return the source that reads a conversion back, or None where this kdcli has none of that name."""
    return load_source(spec) if spec.partition(":")[0] in registry.names("source") else None


def truth(data: str) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return image and depth of each item of a source, depth 0 where it is none."""
    source = load_source(data)
    found = []
    for index in range(len(source)):
        sample = source[index]
        assert sample.depth is not None and sample.valid is not None
        found.append((sample.image, sample.depth[0] * sample.valid[0]))
    return found
