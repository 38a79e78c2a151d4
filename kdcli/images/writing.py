"""Depth maps written: whole numbers of 16 bits with their unit, or floats."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image, PngImagePlugin
from torch import Tensor

from kdcli.errors import DataError
from kdcli.files import atomic
from kdcli.images.depths import NO_VALUE, UNITS_NOTE


def write_depth_png(path: Path, depth: Tensor, *, scale: float = 1000.0, valid: Tensor | None = None) -> None:
    """Write depth as a 16-bit PNG, atomically: metres times ``scale``, 0 where not valid.

    depth, valid: any shape with one map, such as H x W or 1 x H x W. The scale stands in the file's text chunk, where
    ``read_depth`` finds it.

    Raises:
        DataError: a depth that does not fit 16 bits at this scale.
    """
    grid = depth.detach().to("cpu", torch.float64).reshape(depth.shape[-2:])
    known = torch.isfinite(grid) & (grid > 0)
    if valid is not None:
        known &= valid.detach().to("cpu").reshape(grid.shape)
    units = grid.where(known, grid.new_zeros(())).mul(scale).round()
    if units.max() >= NO_VALUE:
        raise DataError(
            f"depth of {grid[known].max():.4g} m does not fit 16 bits at {scale:g} units per metre in '{path}'; "
            "use a smaller scale (256 as KITTI does) or .npy"
        )
    units = units.clamp(min=1).where(known, units.new_zeros(()))  # a valid pixel must not turn into a hole
    write_units_png(path, units, {UNITS_NOTE: f"{scale:.17g}"})


def write_units_png(path: Path, units_HW: Tensor, notes: Mapping[str, str] | None = None) -> None:
    """Write whole numbers 0..65535, H x W, as a 16-bit PNG with notes in text chunks, atomically."""
    chunks = PngImagePlugin.PngInfo()
    for name, text in (notes or {}).items():
        chunks.add_text(name, text)
    with atomic(path) as temporary:
        Image.fromarray(units_HW.numpy().astype(np.uint16)).save(temporary, pnginfo=chunks)


def write_depth_npy(path: Path, depth: Tensor) -> None:
    """Write depth as a float32 H x W array, atomically; depth has any shape with one map."""
    grid = depth.detach().to("cpu", torch.float32).reshape(depth.shape[-2:])
    with atomic(path) as temporary, temporary.open("wb") as stream:
        np.save(stream, grid.numpy(), allow_pickle=False)
