"""Where pasted objects go: shifts, zooms and mirrors of cut-outs, as one map of source positions per image.

A cut-out is moved along rows and columns independently, so a motion is two vectors per image and object: from which row
and from which column each row and column of the result is read. Slot after slot (a static number of them) is written
into one map of source positions, and pixels are read once at the end: memory grows with the images, not with the
objects.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from kdcli.mixers.compose import uniform

if TYPE_CHECKING:
    from kdcli.protocols import MixContext
    from kdcli.types import Batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Motion:
    """How far cut-outs are moved, each field B x K for K slots; down and right in whole pixels."""

    down: Tensor
    right: Tensor
    zoom: Tensor | None = None
    """Factor on height and width, about the middle of the cut-out; None = 1."""
    mirror: Tensor | None = None
    """Whether left and right change places, about the middle of the cut-out; None = nowhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Donors as they land on the receivers: only what lies inside the mask, B x H x W bool, has a meaning."""

    image: Tensor
    instances: Tensor
    mask: Tensor
    depth: Tensor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Ranges that motions are drawn from. With no jitter, zoom or mirror everything stays at its own place."""

    jitter: float = 0.0
    """Largest shift as a share of the image's height and width."""
    min_scale: float = 1.0
    max_scale: float = 1.0
    """Zooms are drawn between the two, uniformly in their logarithm."""
    flip: float = 0.0
    """Probability of a mirrored cut-out."""

    @property
    def zooms(self) -> bool:
        """Whether sizes change."""
        return self.min_scale != 1 or self.max_scale != 1

    @property
    def moves(self) -> bool:
        """Whether anything leaves its own place."""
        return self.jitter > 0 or self.zooms or self.flip > 0

    def draw(self, count: int, slots: int, size: tuple[int, int], ctx: MixContext, device: torch.device) -> Motion:
        """Return motions for ``count`` images of H x W pixels with ``slots`` cut-outs each."""
        shape = (count, slots)
        if self.jitter:
            steps = (uniform((2, *shape), ctx, device) * 2 - 1) * self.jitter
            motion = Motion(down=(steps[0] * size[0]).round(), right=(steps[1] * size[1]).round())
        else:
            motion = Motion(down=torch.zeros(shape, device=device), right=torch.zeros(shape, device=device))
        if self.zooms:
            low, high = math.log(self.min_scale), math.log(self.max_scale)
            motion = replace(motion, zoom=(low + uniform(shape, ctx, device) * (high - low)).exp())
        if self.flip:
            motion = replace(motion, mirror=uniform(shape, ctx, device) < self.flip)
        return motion

    @property
    def levels(self) -> int:
        """How many times images are halved before they are read: bilinear reading sees every pixel down to a half."""
        return max(0, math.ceil(-math.log2(self.min_scale) - 1e-9) - 1)


def place(
    donor: Batch, slots: list[Tensor], motion: Motion, *, levels: int = 0, receiver: Batch | None = None
) -> Placed:
    """Return the donors with the cut-outs in their new places.

    ``slots`` are K masks, B x H x W bool, in the donors' frame; later ones lie on top. Images are read bilinearly where
    there is a zoom, from copies halved up to ``levels`` times where it shrinks below a half, and are the donors' bit
    for bit otherwise; ids, masks and depth take the nearest pixel. With a ``receiver`` a cut-out is kept only where it
    is nearer than the receiver and the cut-outs before it; a zoomed one keeps its size in metres, so its depth is
    divided by the zoom.
    """
    assert donor.instances is not None
    height, width = donor.instances.shape[1:]
    device = donor.image.device
    row_at = torch.arange(height, device=device, dtype=torch.float32)
    column_at = torch.arange(width, device=device, dtype=torch.float32)
    # Where no cut-out lands the maps mean nothing, so the first slot needs no choice.
    flat = row_map = column_map = level_map = union = None
    depth = valid = None
    if receiver is not None:
        assert receiver.depth is not None and donor.depth is not None
        depth, valid = receiver.depth[:, 0], _both_valid(receiver)
    for k, mask in enumerate(slots):
        zoom = None if motion.zoom is None else motion.zoom[:, k]
        mirror = None if motion.mirror is None else motion.mirror[:, k]
        still = zoom is None and mirror is None
        rows = _axis(row_at, motion.down[:, k], None if still else mask.any(2), zoom, None)
        columns = _axis(column_at, motion.right[:, k], None if still else mask.any(1), zoom, mirror)
        row, column = rows.round().long(), columns.round().long()
        inside = ((row >= 0) & (row < height))[:, :, None] & ((column >= 0) & (column < width))[:, None, :]
        row, column = row.clamp(0, height - 1), column.clamp(0, width - 1)
        hit = _pull(mask, row, column) & inside
        if depth is not None:
            assert donor.depth is not None
            there = _pull(donor.depth[:, 0], row, column)
            there = there if zoom is None else there / zoom[:, None, None]
            hit = hit & (there < depth)
            hit = hit if valid is None else hit & valid
            hit = hit if donor.valid is None else hit & _pull(donor.valid[:, 0], row, column)
            depth = torch.where(hit, there, depth)
        flat = _over(hit, row[:, :, None] * width + column[:, None, :], flat)
        if zoom is not None:
            row_map = _over(hit, rows[:, :, None].expand_as(hit), row_map)
            column_map = _over(hit, columns[:, None, :].expand_as(hit), column_map)
            level = ((1 / zoom).log2().ceil() - 1).clamp(0, levels)
            level_map = _over(hit, level[:, None, None].expand_as(hit), level_map) if levels else None
        union = hit if union is None else union | hit
    assert flat is not None and union is not None
    flat = flat.flatten(1)
    if row_map is None or column_map is None:
        image = donor.image.flatten(2).gather(2, flat[:, None].expand(-1, donor.image.shape[1], -1))
        image = image.view_as(donor.image)
    else:
        image = _read(donor.image, row_map, column_map, level_map, levels)
    return Placed(
        image=image, instances=donor.instances.flatten(1).gather(1, flat).view_as(donor.instances), mask=union,
        depth=None if depth is None else depth[:, None],
    )


def stay(donor: Batch, mask: Tensor, receiver: Batch | None = None) -> Placed:
    """Return the donors with everything at its own place; with a ``receiver`` only what is nearer than it."""
    assert donor.instances is not None
    depth = None
    if receiver is not None:
        assert receiver.depth is not None and donor.depth is not None
        mask = mask & (donor.depth < receiver.depth)[:, 0]
        for valid in (_both_valid(receiver), _both_valid(donor)):
            mask = mask if valid is None else mask & valid
        depth = torch.where(mask[:, None], donor.depth, receiver.depth)
    return Placed(image=donor.image, instances=donor.instances, mask=mask, depth=depth)


def _both_valid(batch: Batch) -> Tensor | None:
    return None if batch.valid is None else batch.valid[:, 0]


def _over(mask: Tensor, new: Tensor, old: Tensor | None) -> Tensor:
    return new if old is None else torch.where(mask, new, old)


def _axis(
    at: Tensor, shift: Tensor, present: Tensor | None, zoom: Tensor | None, mirror: Tensor | None
) -> Tensor:
    """Return the source position of each row or column, B x N.

    Positions are relative to the middle of what is ``present``, B x N bool; they are whole numbers where nothing is
    zoomed.
    """
    moved = at - shift[:, None]
    if present is None:
        return moved
    first = torch.where(present, at, float(len(at))).amin(1, keepdim=True)
    last = torch.where(present, at, -1.0).amax(1, keepdim=True)
    middle = (first + last) / 2
    away = moved - middle
    away = away if zoom is None else away / zoom[:, None]
    away = away if mirror is None else torch.where(mirror[:, None], -away, away)
    return middle + away


def _pull(maps: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Return maps B x H x W read at rows B x H and columns B x W."""
    shape = maps.shape
    return maps.gather(1, row[:, :, None].expand(shape)).gather(2, column[:, None, :].expand(shape))


def _read(image: Tensor, rows: Tensor, columns: Tensor, level_map: Tensor | None, levels: int) -> Tensor:
    """Return images read bilinearly at source positions B x H x W, from halved copies where the level says so."""
    height, width = image.shape[-2:]
    grid = torch.stack([(2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1], -1).to(image.dtype)

    def at(source: Tensor) -> Tensor:
        return functional.grid_sample(source, grid, mode="bilinear", padding_mode="border", align_corners=False)

    found = at(image)
    if level_map is None:
        return found
    for level in range(1, levels + 1):
        size = (max(1, height >> level), max(1, width >> level))
        halved = functional.interpolate(image, size=size, mode="area")
        found = torch.where(level_map.eq(level)[:, None], at(halved), found)
    return found
