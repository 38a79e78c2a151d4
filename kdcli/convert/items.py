"""One item as bytes: picture, depth, object ids, and what was lost on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kdcli.convert.asked import QUALITY, Asked
from kdcli.convert.layouts import Item
from kdcli.images import depth_npy, depth_units, ids_within_16_bits, picture_bytes, units_note, units_png
from kdcli.types import Sample

_LEVELS = 65533
"""Steps between near and far of a logarithmic map; 0 is unknown, 65535 infinitely far (MoGe, ``moge/utils/io.py``)."""
_LEAST_RATIO = 1.1
"""Of far to near, where an image has one depth."""
_COMPRESSION = 3
"""Of depth: a tenth larger than at Pillow's own level, and written in half of the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What depth was written, and what was not. near, far: metres, None without depth. beyond: pixels left out because
    they are farther than was asked for."""

    near: float | None = None
    far: float | None = None
    beyond: int = 0


def encode(
    sample: Sample, asked: Asked, *, name: str, split: str, scale: float | None, kind: str | None,
    copied: bytes | None = None,
) -> tuple[Item, Loss]:
    """Return an item as bytes; sample: at its final size. copied: the picture's file, where it is taken as it is.

    scale: stored units per metre of 16-bit depth. kind: what depth means.

    Raises:
        DataError: depth that does not fit 16 bits at this scale.
    """
    layout, (height, width) = asked.made, sample.image.shape[-2:]
    picture = copied or picture_bytes(sample.image, asked.ending, QUALITY if asked.quality is None else asked.quality)
    depth, loss = None, Loss()
    facts: dict[str, Any] = {
        "id": sample.id, "height": int(height), "width": int(width),
        "intrinsics": None if sample.intrinsics is None else [float(value) for value in sample.intrinsics],
    }
    if sample.depth is not None:
        grid, known, beyond = _known(sample.depth, sample.valid, asked.max_depth)
        loss = Loss(beyond=beyond)
        if bool(known.any()):
            loss = Loss(near=float(grid[known].min()), far=float(grid[known].max()), beyond=beyond)
        if layout.logarithmic:
            depth = _logarithmic(grid, known, loss)
        elif asked.stored == "npy":
            depth = depth_npy(grid)
        else:
            assert scale is not None
            units = depth_units(grid, scale=scale, valid=known, name=sample.id)
            depth = units_png(units, units_note(scale), compress_level=_COMPRESSION)
        facts |= {"depth_scale": None if layout.logarithmic or asked.stored == "npy" else scale, "depth_kind": kind}
    ids = None
    if sample.instances is not None and layout.instances:
        ids = units_png(ids_within_16_bits(sample.instances), compress_level=_COMPRESSION)
    item = Item(name=name, split=split, picture=picture, ending=asked.ending, depth=depth, form=asked.stored, ids=ids,
                facts=facts)
    return item, loss


def _known(depth: Tensor, valid: Tensor | None, max_depth: float | None) -> tuple[Tensor, Tensor, int]:
    """Return depth with 0 where it is none, where it is known, both H x W, and how many pixels are beyond the limit."""
    grid = depth.reshape(depth.shape[-2:])
    known = torch.isfinite(grid) & (grid > 0)
    if valid is not None:
        known = known & valid.reshape(grid.shape)
    beyond = 0
    if max_depth is not None:
        far = known & (grid > max_depth)
        beyond, known = int(far.sum()), known & ~far
    return grid.where(known, grid.new_zeros(())), known, beyond


def _logarithmic(grid: Tensor, known: Tensor, loss: Loss) -> bytes:
    """Return depth as a PNG of logarithms between the image's own near and far, which stand in text chunks."""
    near = loss.near or 1.0
    far = max(loss.far or near, near * _LEAST_RATIO)
    values = np.where(known.numpy(), grid.numpy().astype(np.float64), near)
    levels = 1 + np.rint(np.log(values / near) / np.log(far / near) * _LEVELS).clip(0, _LEVELS)
    units = torch.from_numpy(np.where(known.numpy(), levels, 0))
    return units_png(units, {"near": repr(near), "far": repr(far)}, compress_level=_COMPRESSION)
