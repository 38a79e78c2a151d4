"""Small shards as webdataset's writer makes them."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIZE = (6, 8)


def photo(seed: int, size: tuple[int, int] = SIZE, kind: str = "PNG") -> bytes:
    return png(np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8), kind)


def png(array: NDArray[Any], kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, kind)
    return stream.getvalue()


def millimetres(metres: float, size: tuple[int, int] = SIZE) -> bytes:
    return png(np.full(size, round(metres * 1000), np.uint16))


def npy(array: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def facts(focal: float) -> bytes:
    return json.dumps({"intrinsics": [[focal, 0, 4], [0, focal, 3], [0, 0, 1]], "caption": "a room"}).encode()


def shard(path: Path, files: Mapping[str, bytes], mode: str = "w") -> Path:
    """Write files to a tar in the order given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def rooms(
    root: Path, shards: int = 3, each: int = 4, size: tuple[int, int] = SIZE, ending: Literal["png", "jpg"] = "png"
) -> Path:
    """Shards ``train-000000.tar`` and so on: image, depth and camera; the depth of sample n is n + 1 metres."""
    for number in range(shards):
        files: dict[str, bytes] = {}
        for i in reversed(range(each)):
            n = number * each + i
            files[f"{n:06}.json"] = facts(100 + n)
            files[f"{n:06}.depth.png"] = millimetres(n + 1, size)
            files[f"{n:06}.rgb.{ending}"] = photo(n, size, "PNG" if ending == "png" else "JPEG")
        shard(root / f"train-{number:06}.tar", files)
    return root
