"""From one file to the numbers that a model would have said, and where it says any."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kdcli.codecs import BY_TYPE, Codec, find_codec
from kdcli.errors import ConfigError, DataError
from kdcli.evals.stored.files import Stored
from kdcli.images import SCALES, Rig, StoredDepth, read_stored, refuse_other_numbers, to_metres
from kdcli.rasters import Element, Place
from kdcli.types import DepthKind

_PICTURE = 8
"""Bits of numbers that are for looking at: 256 steps, mostly of each picture's own range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """What was said of the numbers of a folder.

    kind: what they mean. scale: stored units per metre, or per pixel of disparity; None = as codec and file say.
    size: height and width of files without a header. focal_baseline: what turns disparity into metres, pixels times
    metres.
    """

    kind: DepthKind
    codec: Codec = BY_TYPE
    scale: float | None = None
    size: tuple[int, int] | None = None
    focal_baseline: float | None = None


def encoding_of(
    where: str, kind: DepthKind | None, codec: str | None, scale: float | None, size: tuple[int, int] | None,
    key: str | None, focal_baseline: float | None,
) -> Encoding:
    """Return the encoding that a spec names.

    Raises:
        ConfigError: nothing is said of the numbers, or what is said does not fit together.
    """
    row = BY_TYPE if codec is None else find_codec(codec)
    disparity = row.meaning == "disparity"
    if kind is None and (disparity or (codec is None and scale is None)):
        raise ConfigError(
            f"nothing says what the numbers in '{where}' mean; add kind=metric (with scale= or codec=), "
            "scale_invariant, affine_depth or affine_disparity (inverse depth, near is large)"
        )
    meant = kind or DepthKind.METRIC
    if scale is not None and not SCALES[0] <= scale <= SCALES[1]:
        raise ConfigError(f"scale={scale:g} is no number of {SCALES[0]:g} to {SCALES[1]:g}; 1000 is millimetres")
    if row.ray:
        raise ConfigError(f"codec '{row.name}' is of lengths of rays, which need a camera; write depth along the axis")
    if row.headerless != (size is not None):
        wanted = "add size=HxW, which no file says" if row.headerless else "size= is for codec=headerless; leave it out"
        raise ConfigError(f"'{where}': {wanted}")
    if meant is DepthKind.METRIC and disparity and focal_baseline is None:
        raise ConfigError(
            f"codec '{row.name}' is disparity; add focal_baseline= (pixels times metres) for metres, or "
            "kind=scale_invariant or affine_disparity"
        )
    if focal_baseline is not None and not (disparity and meant is DepthKind.METRIC and focal_baseline > 0):
        raise ConfigError(f"focal_baseline={focal_baseline:g} turns disparity into metres; add codec=disparity, "
                          "kind=metric, or leave it out")
    row = row if key is None else replace(row, key=key)
    return Encoding(kind=meant, codec=row, scale=scale, size=size, focal_baseline=focal_baseline)


def read(stored: Stored, how: Encoding) -> tuple[Tensor, Tensor]:
    """Return the numbers in the meaning of the kind and where there are any, 1 x h x w float32 and bool.

    Whole numbers are none at 0 where they are depth; floats only where they are not finite.

    Raises:
        DataError: a file that is missing or broken, or a picture of depth.
    """
    place: Place = stored.path if stored.index is None else Element(stored.path, "", stored.index)
    if stored.told is not None:
        return _told(read_stored(place, keep="all"), stored.told)
    affine = how.kind in (DepthKind.AFFINE_DEPTH, DepthKind.AFFINE_DISPARITY)
    found = read_stored(place, how.codec, size=how.size, keep="all" if affine else "floats")
    if found.bits == _PICTURE:
        raise DataError(
            f"'{place}' has 8 bits: 256 steps are a picture of depth, not depth; have the tool write 16-bit PNG, NPY "
            "or EXR"
        )
    if affine:
        return found.values[None], found.valid[None]
    unknown = how.scale is None and found.scale is None and how.codec.name == BY_TYPE.name
    if how.kind is DepthKind.METRIC and found.bits and unknown:
        raise DataError(f"'{place}' has whole numbers and nothing says their unit; add scale= (1000 for millimetres, "
                        "256 for KITTI) or codec=")
    if how.scale is None:
        refuse_other_numbers(found, how.codec, place, how.codec.scale)
    rig = Rig(focal_baseline=how.focal_baseline or 1.0) if how.codec.meaning == "disparity" else None
    return to_metres(found, how.codec, place, scale=how.scale, rig=rig)


def _told(found: StoredDepth, told: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """Return what ``kdcli predict`` wrote: value = stored * step + offset; 0 in whole numbers, not-a-number else."""
    step, offset = told
    if not found.bits:
        return found.values[None], found.valid[None]
    valid = found.valid & (found.values > 0)
    return torch.where(valid, found.values.double() * step + offset, 0).float()[None], valid[None]
