"""Samples as rows of one picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from kdcli.colour import INVALID
from kdcli.sources.checks.cameras import view
from kdcli.sources.sheet.objects import object_names, paint_objects
from kdcli.sources.sheet.overlays import Overlay, depth_picture
from kdcli.sources.sheet.words import with_caption, with_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdcli.protocols import Source
    from kdcli.types import Sample

HEIGHT = 240
_GAP = 4
_READABLE = 160
"""Pixels of height from which there is room for words."""


def contact_sheet(source: Source, *, count: int = 4, height: int = HEIGHT, overlay: Overlay = "beside") -> Tensor:
    """Draw items spread evenly over a source; see ``sheet_of``. count: most rows.

    Raises:
        DataError: an item that cannot be read.
    """
    n = len(source)
    rows = min(n, max(1, count))
    disparity = source.depth_kind is not None and source.depth_kind.is_disparity
    samples = [source[i * n // rows] for i in range(rows)]
    return sheet_of(samples, height=height, overlay=overlay, disparity=disparity)


def sheet_of(
    samples: Sequence[Sample], *, height: int = HEIGHT, overlay: Overlay = "beside", disparity: bool = False
) -> Tensor:
    """Draw items, one a row; 3 x H x W in 0..1.

    height: of each row in pixels. Depth is near warm, without value grey; ``overlay`` lays it over the image, so that
    it shows whether the two fit. disparity: larger numbers are nearer. Objects have one colour an id, the larger ones
    their number. An item without depth or objects has grey there, if others have them. Rows that are high enough say
    what the item is: name, sizes, range of depth, camera.
    """
    has_depth = any(sample.depth is not None for sample in samples)
    has_objects = any(sample.instances is not None for sample in samples)
    drawn = [
        torch.cat(_cells(sample, height, has_depth, has_objects, overlay, disparity), dim=2) for sample in samples
    ]
    width = max(row.shape[2] for row in drawn)
    wide = [pad(row, (0, width - row.shape[2], 0, _GAP), value=1.0) for row in drawn]
    return torch.cat(wide, dim=1)[:, :-_GAP, :-_GAP]


def _cells(
    sample: Sample, height: int, has_depth: bool, has_objects: bool, overlay: Overlay, disparity: bool
) -> list[Tensor]:
    """Return the pictures of one row, all of one size, a gap at the right of each."""
    width = max(1, round(sample.image.shape[2] * height / sample.image.shape[1]))
    image = interpolate(sample.image[None], (height, width), mode="bilinear", antialias=True)[0].clamp(0, 1)
    blank, readable = image.new_full((3, height, width), INVALID), height >= _READABLE
    pictures = [with_caption(image, caption(sample, disparity=disparity)) if readable else image]
    if has_depth:
        pictures.append(
            blank if sample.depth is None
            else depth_picture(image, sample.depth, sample.valid, overlay, disparity=disparity)
        )
    if has_objects:
        painted = blank
        if sample.instances is not None:
            painted = interpolate(paint_objects(sample.instances)[None], (height, width), mode="nearest-exact")[0]
            painted = with_words(painted, object_names(sample.instances)) if readable else painted
        pictures.append(painted)
    return [pad(picture.clamp(0, 1), (0, _GAP), value=1.0) for picture in pictures]


def caption(sample: Sample, *, disparity: bool = False) -> list[str]:
    """Return what an item is, in two lines: its name; size, depth, camera."""
    height, width = sample.image.shape[-2:]
    parts = [f"{width}x{height}"]
    if sample.depth is not None:
        own = sample.depth.shape[-2:]
        known = sample.depth.flatten() if sample.valid is None else sample.depth[sample.valid]
        size = "" if own == sample.image.shape[-2:] else f" {own[1]}x{own[0]}"
        unit = "" if disparity else " m"
        span = f"{float(known.min()):.3g}-{float(known.max()):.3g}{unit}" if known.numel() else "none"
        parts.append(f"depth{size} {span}, {known.numel() / max(1, sample.depth.numel()):.0%}")
    if sample.intrinsics is not None:
        across, down, x, y = sample.intrinsics.tolist()
        degrees = f", {view((across, down, x, y), (height, width)):.0f} deg" if across > 0 else ""
        parts.append(f"f {across:.4g} {down:.4g}, c {x:.4g} {y:.4g}{degrees}")
    return [sample.id, "  ".join(parts)]
