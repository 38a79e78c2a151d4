"""From one file to the numbers that a model would have said, and where it says any."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kdcli.codecs import BY_TYPE, Codec, find_codec
from kdcli.errors import ConfigError, DataError
from kdcli.evals.alignment import FLOOR
from kdcli.evals.stored.files import Stored
from kdcli.images import SCALES, StoredDepth, read_stored, refuse_other_numbers, to_metres
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

    @property
    def affine(self) -> bool:
        """Whether numbers have an unknown offset."""
        return self.kind in (DepthKind.AFFINE_DEPTH, DepthKind.AFFINE_DISPARITY)

    @property
    def inverse(self) -> bool:
        """Whether numbers are disparity and depth is meant."""
        return self.codec.meaning == "disparity" and not self.affine

    @property
    def units(self) -> float | None:
        """Stored units per metre that were said; None where files say it, or their type."""
        return self.codec.scale if self.scale is None else self.scale

    def depth(self, values: Tensor) -> Tensor:
        """Return what numbers mean that were brought to a picture's size: disparity turns into depth last, as in the
        code of those who predict it; none and less are infinitely far."""
        return (self.focal_baseline or 1.0) / values.clamp(min=FLOOR) if self.inverse else values


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
    _refuse_other_space(meant, row)
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


def _refuse_other_space(kind: DepthKind, row: Codec) -> None:
    """Refuse an encoding of depth for numbers that are inverse depth, and the other way round.

    Raises:
        ConfigError: they contradict each other.
    """
    disparity = row.meaning == "disparity"
    if kind is DepthKind.AFFINE_DEPTH and disparity:
        raise ConfigError(f"codec '{row.name}' is disparity, and kind={kind} is depth; give kind=affine_disparity, "
                          "or scale_invariant where its zero is infinitely far")
    if kind is DepthKind.AFFINE_DISPARITY and not (disparity or row.headerless or row.name == BY_TYPE.name):
        raise ConfigError(f"codec '{row.name}' is of depth, and kind={kind} is inverse depth; leave out codec=, or "
                          "give the kind that it is")


def read(stored: Stored, how: Encoding) -> tuple[Tensor, Tensor]:
    """Return the numbers and where there are any, 1 x h x w float32 and bool: in the meaning of the kind, but for
    disparity, which ``Encoding.depth`` turns.

    Whole numbers are none at 0 where they are depth or disparity; floats only where they are not finite.

    Raises:
        DataError: a file that is missing or broken, or a picture of depth.
    """
    place: Place = stored.path if stored.index is None else Element(stored.path, "", stored.index)
    if stored.told is not None:
        return _told(read_stored(place, keep="all"), stored.told)
    row, coded = how.codec, how.codec.meaning in ("logarithm", "kinect")
    found = read_stored(place, row, size=how.size, keep="all" if how.affine and not coded else "floats")
    if found.bits == _PICTURE:
        raise DataError(
            f"'{place}' has 8 bits: 256 steps are a picture of depth, not depth; have the tool write 16-bit PNG, NPY "
            "or EXR"
        )
    if how.affine and not coded:
        return found.values[None], found.valid[None]
    unknown = how.scale is None and found.scale is None and row.name == BY_TYPE.name
    if how.kind is DepthKind.METRIC and found.bits and unknown:
        raise DataError(f"'{place}' has whole numbers and nothing says their unit; add scale= (1000 for millimetres, "
                        "256 for KITTI) or codec=")
    if how.scale is None:
        refuse_other_numbers(found, row, place, row.scale)
    asked = row.scale if how.scale is None else how.scale
    if coded:
        return to_metres(found, row, place, scale=asked)
    # No number is too far: what a source would take for a mark of none is a prediction like any other.
    values = (found.values - row.offset) / ((asked or 1.0) if row.meaning == "disparity" else found.units(asked))
    valid = found.valid & (values > 0) if found.bits else found.valid
    return torch.where(valid, values, 0)[None], valid[None]


def _told(found: StoredDepth, told: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """Return what ``kdcli predict`` wrote: value = stored * step + offset; 0 in whole numbers, not-a-number else."""
    step, offset = told
    if not found.bits:
        return found.values[None], found.valid[None]
    valid = found.valid & (found.values > 0)
    return torch.where(valid, found.values.double() * step + offset, 0).float()[None], valid[None]
