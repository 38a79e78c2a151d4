"""From stored numbers to metres along the optical axis, as the row of an encoding says."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kdcli.cameras import Camera
from kdcli.codecs import Codec
from kdcli.errors import DataError
from kdcli.images.depths import FURTHEST, StoredDepth
from kdcli.rasters import Place

Floats = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]

_LEVELS = 65533
"""Steps between near and far of a 16-bit logarithm; 0 is unknown, 65535 infinitely far (MoGe, ``moge/utils/io.py``)."""
_ZERO, _MOST_RANGE = 1e-5, 1e5
"""Metres that MoGe's writer makes of zero, the nearest depth to it, and the most that far is times near."""
_KINECT = (351.3, 1092.5)
"""Of NYU's toolbox (``depth_rel2depth_abs.m``): metres = a / (b - v), up to ten of them."""
_KINECT_FURTHEST = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """Two cameras: depth = ``focal_baseline`` / (disparity + ``offset``), pixels times metres and pixels."""

    focal_baseline: float
    offset: float = 0.0


def to_metres(
    stored: StoredDepth, codec: Codec, place: Place, *, scale: float | None = None, camera: Camera | None = None,
    rig: Rig | None = None,
) -> tuple[Tensor, Tensor]:
    """Return depth along the optical axis in metres and where it is valid, 1 x H x W float32 and bool.

    scale: stored units per metre (or pixel of disparity) that the user gives; else the encoding's, else the file's.
    camera: fx, fy, cx, cy in pixels of the map, which lengths of rays are turned by. rig: what disparity is turned by.

    Raises:
        DataError: the file lacks text chunks, or nothing tells the camera or the rig that it is read by.
    """
    asked = codec.scale if scale is None else scale
    if codec.plain:
        return stored.metres(asked)
    values: Floats = stored.values.numpy()
    valid: Mask = stored.valid.numpy()
    if codec.offset:
        values = values - np.float32(codec.offset)
        valid = valid & (values > 0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if codec.meaning == "logarithm":
            depth, valid = _logarithm(stored, values, valid, place)
        elif codec.meaning == "kinect":
            depth = np.float32(_KINECT[0]) / (np.float32(_KINECT[1]) - values)
            valid = valid & (depth > 0) & (depth <= _KINECT_FURTHEST)
        elif codec.meaning == "disparity":
            if rig is None:
                raise DataError(f"'{place}' holds disparity, and nothing tells focal length and baseline; give "
                                "focal_baseline= (pixels times metres)")
            pixels = values / np.float32(asked or 1.0) + np.float32(rig.offset)
            valid = valid & (pixels > 0)
            depth = np.float32(rig.focal_baseline) / pixels
        else:
            depth = values / np.float32(stored.units(asked))
    if codec.ray:
        if camera is None:
            raise DataError(f"'{place}' holds lengths of rays, and nothing tells the camera; give focal=")
        depth = depth * axial_share(camera, (depth.shape[0], depth.shape[1]))
    valid = valid & np.isfinite(depth) & (depth < FURTHEST)
    depth = np.where(valid, depth, np.float32(0)).astype(np.float32, copy=False)
    return torch.from_numpy(depth)[None], torch.from_numpy(valid)[None]


def refuse_other_numbers(stored: StoredDepth, codec: Codec, place: Place, scale: float | None) -> None:
    """Refuse a file of other numbers than those of the encoding, which its scale would make a thousandth or a thousand.

    scale: stored units per metre that nobody gave, but the encoding or the layout supposes.

    Raises:
        DataError: floats or 8 bits where whole numbers of 16 bits are encoded, or whole numbers where floats are; or
            a file that names another unit.
    """
    if stored.scale is not None and scale is not None and stored.scale != scale:
        raise DataError(f"'{place}' says {stored.scale:g} units per metre itself, and {scale:g} would be taken; give "
                        f"scale={stored.scale:g}, or the source whose layout it is")
    fits = {"any": True, "whole": stored.bits > 8, "float": not stored.bits}[codec.kind]
    if not fits:
        found = f"whole numbers of {stored.bits} bits" if stored.bits else "floats"
        wanted = "whole numbers of 16 bits" if codec.kind == "whole" else "floats"
        raise DataError(f"'{place}' holds {found}, and the encoding '{codec.name}' is one of {wanted}; give the "
                        "original file, another codec=, or scale= if its numbers are meant so")


@lru_cache(maxsize=8)  # the images of a set mostly have one camera
def axial_share(camera: Camera, size: tuple[int, int]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Return depth along the axis as a share of the ray's length, H x W; pixel centres are whole numbers."""
    fx, fy, cx, cy = camera
    x = ((np.arange(size[1]) - cx) / fx)[None]
    y = ((np.arange(size[0]) - cy) / fy)[:, None]
    share: np.ndarray[tuple[int, int], np.dtype[np.float32]] = (1 / np.sqrt(1 + x**2 + y**2)).astype(np.float32)
    return share


def _logarithm(
    stored: StoredDepth, values: Floats, valid: Mask, place: Place
) -> tuple[Floats, Mask]:
    near, far, unit = stored.notes.get("near", 0.0), stored.notes.get("far", 0.0), stored.notes.get("unit", 1.0)
    if not 0 < near <= far or not unit > 0:
        raise DataError(f"'{place}' is a logarithmic depth map but has no text chunks 'near' and 'far', which get lost "
                        "when a tool writes it again; download it")
    if near <= _ZERO:
        if far >= near * _MOST_RANGE * 0.999:
            raise DataError(f"'{place}' is a logarithmic depth map from {near:g} to {far:g} m: MoGe's tool writes that "
                            "of a map with zeros for holes, and everything farther has become that; write it again "
                            "with not-a-number for holes")
        valid = valid & (values > 1)
    share = (values - 1) / np.float32(_LEVELS)
    depth = unit * np.exp((1 - share) * np.log(near) + share * np.log(far))
    return depth.astype(np.float32), valid
