"""A contact sheet of a source: one row an item, image beside depth beside objects."""

from __future__ import annotations

import colorsys
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from kdcli.colour import INVALID, colourise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdcli.protocols import Source
    from kdcli.types import Sample

_GOLDEN = 0.6180339887498949
_GAP = 4


_STRENGTH = 0.65
"""How much of the colour of depth shows where it is laid over its image."""


def contact_sheet(source: Source, *, count: int = 4, height: int = 240, over: bool = False) -> Tensor:
    """Draw items spread evenly over a source; see ``sheet_of``. count: most rows.

    Raises:
        DataError: an item that cannot be read.
    """
    n = len(source)
    rows = min(n, max(1, count))
    return sheet_of([source[i * n // rows] for i in range(rows)], height=height, over=over)


def sheet_of(samples: Sequence[Sample], *, height: int = 240, over: bool = False) -> Tensor:
    """Draw items, one a row; 3 x H x W in 0..1.

    height: of each row in pixels. Depth is near warm, without value grey; ``over`` lays it over the image, so that it
    shows whether the two fit. Objects have one colour an id. An item without depth or objects has grey there, if others
    have them.
    """
    has_depth = any(sample.depth is not None for sample in samples)
    has_objects = any(sample.instances is not None for sample in samples)
    drawn = [torch.cat(_cells(sample, height, has_depth, has_objects, over), dim=2) for sample in samples]
    width = max(row.shape[2] for row in drawn)
    wide = [pad(row, (0, width - row.shape[2], 0, _GAP), value=1.0) for row in drawn]
    return torch.cat(wide, dim=1)[:, :-_GAP, :-_GAP]


def _cells(sample: Sample, height: int, has_depth: bool, has_objects: bool, over: bool) -> list[Tensor]:
    """Return the pictures of one row, all of one size, a gap at the right of each."""
    width = max(1, round(sample.image.shape[2] * height / sample.image.shape[1]))
    pictures = [sample.image]
    blank = sample.image.new_full((3, height, width), INVALID)
    if has_depth:
        pictures.append(blank if sample.depth is None else _depth(sample.image, sample.depth, sample.valid, over))
    if has_objects:
        pictures.append(blank if sample.instances is None else paint_objects(sample.instances))
    smooth = [True, False, False]
    cells = []
    for picture, blend in zip(pictures, smooth, strict=False):
        # Depth and objects keep hard edges: blending two depths or two ids would show something that is not there.
        mode = {"mode": "bilinear", "antialias": True} if blend else {"mode": "nearest-exact"}
        sized = interpolate(picture[None], (height, width), **mode)[0]
        cells.append(pad(sized.clamp(0, 1), (0, _GAP), value=1.0))
    return cells


def _depth(image_3HW: Tensor, depth_1HW: Tensor, valid_1HW: Tensor | None, over: bool) -> Tensor:
    """Paint depth, alone or over its image."""
    painted = colourise(depth_1HW[0], None if valid_1HW is None else valid_1HW[0])
    if not over:
        return painted
    size = image_3HW.shape[-2:]
    known = torch.ones_like(depth_1HW, dtype=torch.bool) if valid_1HW is None else valid_1HW
    painted, shown = (interpolate(part[None].float(), size, mode="nearest-exact")[0] for part in (painted, known))
    return image_3HW + _STRENGTH * (painted - image_3HW) * shown


def paint_objects(instances_HW: Tensor) -> Tensor:
    """Paint object ids, H x W whole numbers, as 3 x H x W: id 0 dark, each other in its own colour everywhere."""
    ids, where = torch.unique(instances_HW, return_inverse=True)
    colours = [
        (0.1, 0.1, 0.1) if i == 0 else colorsys.hsv_to_rgb(i * _GOLDEN % 1, 0.55 + 0.4 * (i % 3) / 2, 0.95)
        for i in ids.tolist()
    ]
    return torch.tensor(colours, dtype=torch.float32)[where].permute(2, 0, 1).contiguous()
