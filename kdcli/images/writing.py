"""Depth maps and object ids written: whole numbers of 16 bits with their unit, or floats."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image, PngImagePlugin
from torch import Tensor

from kdcli.errors import DataError
from kdcli.files import atomic
from kdcli.images.depths import NO_VALUE, UNITS_NOTE

MOST_IDS = 65535
"""Greatest object id that 16 bits hold."""


def write_depth_png(path: Path, depth: Tensor, *, scale: float = 1000.0, valid: Tensor | None = None) -> None:
    """Write depth as a 16-bit PNG, atomically: metres times ``scale``, 0 where not valid.

    depth, valid: any shape with one map, such as H x W or 1 x H x W. The scale stands in the file's text chunk, where
    ``read_depth`` finds it.

    Raises:
        DataError: a depth that does not fit 16 bits at this scale.
    """
    write_units_png(path, depth_units(depth, scale=scale, valid=valid, name=str(path)), units_note(scale))


def depth_units(depth: Tensor, *, scale: float, valid: Tensor | None = None, name: str) -> Tensor:
    """Return depth in whole units, H x W float64 in 0..65534: metres times ``scale``, 0 where not valid.

    name: of the file, for the message.

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
            f"depth of {grid[known].max():.4g} m does not fit 16 bits at {scale:g} units per metre in '{name}'; "
            "use a smaller scale (256 as KITTI does) or .npy"
        )
    return units.clamp(min=1).where(known, units.new_zeros(()))  # a valid pixel must not turn into a hole


def units_note(scale: float) -> dict[str, str]:
    """Return the text chunk that names the unit of a depth map."""
    return {UNITS_NOTE: f"{scale:.17g}"}


def write_units_png(path: Path, units_HW: Tensor, notes: Mapping[str, str] | None = None) -> None:
    """Write whole numbers 0..65535, H x W, as a 16-bit PNG with notes in text chunks, atomically."""
    with atomic(path) as temporary:
        temporary.write_bytes(units_png(units_HW, notes))


def units_png(units_HW: Tensor, notes: Mapping[str, str] | None = None, *, compress_level: int = 6) -> bytes:
    """Return whole numbers 0..65535, H x W, as a 16-bit PNG with notes in text chunks."""
    chunks = PngImagePlugin.PngInfo()
    for name, text in (notes or {}).items():
        chunks.add_text(name, text)
    stream = io.BytesIO()
    image = Image.fromarray(units_HW.numpy().astype(np.uint16))
    image.save(stream, "PNG", pnginfo=chunks, compress_level=compress_level)
    return stream.getvalue()


def ids_within_16_bits(ids_HW: Tensor) -> Tensor:
    """Return object ids that 16 bits hold, on the CPU: as they are, or numbered anew where they reach beyond."""
    values = ids_HW.cpu()
    if int(values.max()) <= MOST_IDS:
        return values
    known, index = torch.unique(values, return_inverse=True)
    numbered: Tensor = index + (0 if known[0] == 0 else 1)
    return numbered


def write_depth_npy(path: Path, depth: Tensor) -> None:
    """Write depth as a float32 H x W array, atomically; depth has any shape with one map."""
    with atomic(path) as temporary:
        temporary.write_bytes(depth_npy(depth))


def depth_npy(depth: Tensor) -> bytes:
    """Return depth as a float32 H x W array of NumPy's format; depth has any shape with one map."""
    stream = io.BytesIO()
    np.save(stream, depth.detach().to("cpu", torch.float32).reshape(depth.shape[-2:]).numpy(), allow_pickle=False)
    return stream.getvalue()
