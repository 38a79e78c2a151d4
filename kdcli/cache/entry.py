"""One map in one file that says itself what it is of: written whole, and refused when anything in it is not right.

``png16``: 16-bit PNG of ``map / step`` with ``step = greatest / 65534`` of that image, so at most half a step off:
0.6 mm for a map that reaches 80 m, 0.08 mm for 10 m. ``float16``, ``float32``: safetensors; half precision is off by at
most 0.05 %. In all of them 0 means unknown.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin
from torch import Tensor

from kdcli.errors import DataError, WeightsError
from kdcli.files import atomic, from_json
from kdcli.images import opened
from kdcli.rasters import must_exist
from kdcli.weights import load_tensors, read_metadata

Storage = Literal["png16", "float16", "float32"]
LARGEST = 65534
"""Greatest stored number: 65535 means no value to many readers of depth maps."""
BYTES = {"png16": 2, "float16": 2, "float32": 4}
"""Most bytes a pixel takes."""
OVERHEAD = 4096
"""Most bytes that a file takes beside its pixels."""
_SUFFIXES = {"png16": ".png", "float16": ".safetensors", "float32": ".safetensors"}
_NOTE = "kdcli"


def suffix_of(storage: Storage) -> str:
    """Return how files of a storage end."""
    return _SUFFIXES[storage]


def write_entry(path: Path, map_HW: Tensor, storage: Storage, facts: Mapping[str, str]) -> None:
    """Write a map, H x W float32 with 0 where unknown, and what it is of, atomically.

    Raises:
        DataError: numbers that the storage cannot hold. OSError: the disk.
    """
    grid = map_HW.detach().to("cpu", torch.float32).contiguous()
    if storage == "png16":
        step = max(float(grid.max()), 1e-30) / LARGEST
        units = np.rint(grid.numpy().astype(np.float64) / step).clip(0, LARGEST).astype(np.uint16)
        units = np.where((grid.numpy() > 0) & (units == 0), np.uint16(1), units)  # a known pixel stays one
        notes = PngImagePlugin.PngInfo()
        notes.add_text(_NOTE, json.dumps({**facts, "step": repr(step), "crc": _crc(units)}))
        with atomic(path) as temporary:
            Image.fromarray(units).save(temporary, pnginfo=notes, compress_level=3)
        return
    kept = halved(grid, facts.get("id", "")) if storage == "float16" else grid
    from safetensors.torch import save

    content = save({"map": kept}, metadata={_NOTE: json.dumps({**facts, "crc": _crc(kept.numpy())})})
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def halved(map_HW: Tensor, name: str) -> Tensor:
    """Return a map in half precision, in which what is known does not become 0. name: of the image, for people.

    Raises:
        DataError: numbers beyond half precision.
    """
    kept = map_HW.half()
    tiny = torch.full_like(kept, torch.finfo(torch.float16).smallest_normal).copysign(map_HW)
    kept = torch.where((kept == 0) & (map_HW != 0), tiny, kept)
    if not bool(torch.isfinite(kept).all()):
        raise DataError(
            f"the map of '{name}' reaches {float(map_HW.abs().max()):.4g}, which float16 does not hold; use "
            "teacher_storage=float32"
        )
    return kept


def read_entry(path: Path, storage: Storage, facts: Mapping[str, str], size: tuple[int, int]) -> Tensor:
    """Read a map, H x W float32 with 0 where unknown, after checking that it is whole and of what is asked for.

    Raises:
        DataError: missing, truncated, changed, of another size, image, teacher or read-out, or not numbers.
    """
    must_exist(path)
    values, told = _read_png(path) if storage == "png16" else _read_tensor(path)
    for name in ("key", "image"):
        if told.get(name) != facts[name]:
            raise DataError(f"'{path}' is the map of another {'teacher' if name == 'key' else name}; delete it")
    if told.get("crc") != _crc(values):
        raise DataError(f"'{path}' is damaged: its numbers are not those that were written; delete it")
    if values.shape != size:
        raise DataError(f"'{path}' is {values.shape[0]}x{values.shape[1]}, not {size[0]}x{size[1]}; delete it")
    if storage == "png16":
        return torch.from_numpy((values.astype(np.float64) * _step(path, told)).astype(np.float32))
    grid = torch.from_numpy(values.astype(np.float32))
    if not bool(torch.isfinite(grid).all()):
        raise DataError(f"'{path}' holds something other than numbers; delete it")
    return grid


def _read_png(path: Path) -> tuple[NDArray[Any], dict[str, Any]]:
    with opened(path) as image:
        if image.mode not in ("I;16", "I;16B", "I;16L", "I"):
            raise DataError(f"'{path}' is a picture of mode {image.mode}, not a map of 16 bits; delete it")
        values = np.array(image).astype(np.uint16)
        return values, _note(path, image.info.get(_NOTE))


def _read_tensor(path: Path) -> tuple[NDArray[Any], dict[str, Any]]:
    try:
        tensors, metadata = load_tensors(path), read_metadata(path)
    except WeightsError as error:
        raise DataError(f"'{path}' is truncated or broken, delete it: {error}") from None
    found = tensors.get("map")
    if found is None or found.ndim != 2 or found.dtype not in (torch.float16, torch.float32):
        raise DataError(f"'{path}' holds no map of half or single precision; delete it")
    return found.numpy(), _note(path, metadata.get(_NOTE))


def _step(path: Path, told: Mapping[str, Any]) -> float:
    """Return what one unit of a picture stands for."""
    try:
        step = float(told["step"])
    except (KeyError, TypeError, ValueError):
        step = math.nan
    if not 0 < step < math.inf:
        raise DataError(f"'{path}' does not say what its units are; delete it")
    return step


def _note(path: Path, text: Any) -> dict[str, Any]:
    try:
        found = from_json(str(text))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise DataError(f"'{path}' does not say what it is of; it is no map of a teacher cache, delete it")
    return found


def _crc(values: NDArray[Any]) -> int:
    return zlib.crc32(np.ascontiguousarray(values).data)
