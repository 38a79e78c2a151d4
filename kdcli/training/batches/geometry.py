"""Mirroring, rotating and cropping a batch on its device: what moves, how, and with what camera.

A rotation is one of the picture about the middle of its frame, which is what a camera that rolls about its axis sees:
depth stays as it is, the principal point turns along with the picture, and focal lengths stay those of the centre
(exact for square pixels). Places of pixels are counted here from the corner of the frame, so that rounding down gives
the pixel that a point lies in; those of cameras from the middle of the first pixel, as everywhere (``kdcli.cameras``).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from kdcli.cameras import crop_camera, mirror_camera, roll_camera
from kdcli.types import Batch

Move = Literal["kept", "blended", "picked", "camera"]

MOVES: dict[str, Move] = {
    "ids": "kept",
    "labelled": "kept",
    "image": "blended",
    "depth": "picked",
    "valid": "picked",
    "instances": "picked",
    "taught": "picked",
    "intrinsics": "camera",
}
"""How each field of a batch moves. ``blended``: bilinear between pixels, black outside. ``picked``: the nearest pixel,
since a mean of two depths or ids is neither; 0 or False outside. ``camera``: the principal point moves along.
``kept``: says nothing of places."""


def mirror(batch: Batch, generator: torch.Generator) -> Batch:
    """Mirror each image with probability one half, with all that belongs to it."""
    chosen_B = torch.rand(len(batch), generator=generator, device=batch.image.device) < 0.5

    def turn(tensor: Tensor) -> Tensor:
        if tensor.device.type == "cpu":
            return _turned_here(tensor, chosen_B)
        return torch.where(chosen_B.view(-1, *[1] * (tensor.ndim - 1)), tensor.flip(-1), tensor)

    def camera(intrinsics_B4: Tensor) -> Tensor:
        mirrored = mirror_camera(intrinsics_B4, batch.image.shape[-1])
        return torch.where(chosen_B[:, None], mirrored, intrinsics_B4)

    return _moved(batch, turn, turn, camera)


def _turned_here(tensor: Tensor, chosen_B: Tensor) -> Tensor:
    """Mirror the chosen images one by one, where asking which they are costs nothing: faster than choosing by pixel."""
    turned = tensor.clone()
    for place, chosen in enumerate(chosen_B):
        if bool(chosen):
            turned[place] = tensor[place].flip(-1)
    return turned


def turn_and_crop(
    batch: Batch,
    *,
    rotate: float = 0.0,
    rotate_probability: float = 1.0,
    rotate_taught: bool = True,
    crop: tuple[int, int] | None = None,
    generator: torch.Generator,
) -> Batch:
    """Rotate images by an angle drawn from +- ``rotate`` degrees with a probability, then cut out a random window.

    Both in one sampling of the window alone; an image that is not rotated comes out to the bit. Where the frame turned
    away ground truth becomes invalid. ``crop``: height and width of the windows, no larger than the images; None keeps
    the frame. ``rotate_taught`` False leaves ``taught`` upright while all else turns.
    """
    device, count = batch.image.device, len(batch)
    height, width = batch.image.shape[-2:]
    size = crop or (height, width)
    angle_B = torch.zeros(count, device=device)
    if rotate:
        draws = torch.rand(count, 2, generator=generator, device=device)
        angle_B = torch.where(draws[:, 0] < rotate_probability, (2 * draws[:, 1] - 1) * math.radians(rotate), 0.0)
    corner_B2 = torch.zeros(count, 2, device=device)
    if crop:
        room = [float(height - crop[0] + 1), float(width - crop[1] + 1)]
        draws = torch.rand(count, 2, generator=generator, device=device)
        # A draw just below 1 may round up to the first window that is outside.
        corner_B2 = torch.stack([(draws[:, i] * room[i]).floor().clamp(max=room[i] - 1) for i in range(2)], dim=1)
    return _window(batch, angle_B if rotate else None, corner_B2, size, rotate_taught=rotate_taught)


def centre_crop(batch: Batch, crop: tuple[int, int] | None) -> Batch:
    """Cut the middle out of every image: the batch at the size that networks see, without chance."""
    if crop is None:
        return batch
    height, width = batch.image.shape[-2:]
    corner_B2 = torch.zeros(len(batch), 2, device=batch.image.device)
    corner_B2[:, 0], corner_B2[:, 1] = (height - crop[0]) // 2, (width - crop[1]) // 2
    return _window(batch, None, corner_B2, crop)


def _window(
    batch: Batch, angle_B: Tensor | None, corner_B2: Tensor, size: tuple[int, int], *, rotate_taught: bool = True
) -> Batch:
    """Take from each image the window whose top left corner is given, out of the frame turned by the angle."""
    frame = batch.image.shape[-2:]
    origin = _origin(angle_B, corner_B2, size, frame)
    flat, inside = _nearest(origin, frame)

    def pick(tensor: Tensor) -> Tensor:
        return _pick(tensor, flat, inside)

    def blend(image: Tensor) -> Tensor:
        plain = pick(image)
        if angle_B is None:
            return plain
        grid = torch.stack([origin[0] * (2 / frame[1]) - 1, origin[1] * (2 / frame[0]) - 1], dim=-1).to(image.dtype)
        sampled = functional.grid_sample(image, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        return torch.where((angle_B != 0).view(-1, 1, 1, 1), sampled, plain)

    def camera(intrinsics_B4: Tensor) -> Tensor:
        if angle_B is not None:
            intrinsics_B4 = roll_camera(intrinsics_B4, angle_B, (frame[0], frame[1]))
        return crop_camera(intrinsics_B4, corner_B2[:, 0], corner_B2[:, 1])

    moved = _moved(batch, blend, pick, camera)
    if angle_B is not None and moved.depth is not None and moved.valid is None:
        moved = replace(moved, valid=inside[:, None])
    if not rotate_taught and batch.taught is not None:
        moved = replace(moved, taught=_pick(batch.taught, *_nearest(_origin(None, corner_B2, size, frame), frame)))
    return moved


def _moved(
    batch: Batch, blended: Callable[[Tensor], Tensor], picked: Callable[[Tensor], Tensor],
    camera: Callable[[Tensor], Tensor],
) -> Batch:
    """Apply to every field that is there what ``MOVES`` says."""
    ways = {"blended": blended, "picked": picked, "camera": camera}
    changed: dict[str, Any] = {
        name: ways[move](value)
        for name, move in MOVES.items()
        if move != "kept" and (value := getattr(batch, name)) is not None
    }
    return replace(batch, **changed)


def _origin(
    angle_B: Tensor | None, corner_B2: Tensor, size: tuple[int, int], frame: torch.Size
) -> tuple[Tensor, Tensor]:
    """Return x and y in the frame, B x h x w, of the centres of a window's pixels; exact where nothing turns."""
    across = torch.arange(size[1], device=corner_B2.device) + 0.5
    down = torch.arange(size[0], device=corner_B2.device) + 0.5
    x = (corner_B2[:, 1, None] + across)[:, None, :].expand(-1, size[0], -1)
    y = (corner_B2[:, 0, None] + down)[:, :, None].expand(-1, -1, size[1])
    if angle_B is None:
        return x, y
    cos, sin = angle_B.cos().view(-1, 1, 1), angle_B.sin().view(-1, 1, 1)
    x, y = x - frame[1] / 2, y - frame[0] / 2
    return cos * x + sin * y + frame[1] / 2, cos * y - sin * x + frame[0] / 2


def _nearest(origin: tuple[Tensor, Tensor], frame: torch.Size) -> tuple[Tensor, Tensor]:
    """Return which pixel of the flattened frame each point lies in, and whether it lies in any; B x h x w."""
    column, row = (place.floor().long() for place in origin)
    inside = (column >= 0) & (column < frame[1]) & (row >= 0) & (row < frame[0])
    return row.clamp(0, frame[0] - 1) * frame[1] + column.clamp(0, frame[1] - 1), inside


def _pick(tensor: Tensor, flat_BHW: Tensor, inside_BHW: Tensor) -> Tensor:
    """Gather pixels of B x H x W or B x C x H x W; 0 or False outside."""
    planes = tensor[:, None] if tensor.ndim == 3 else tensor
    count, channels = planes.shape[:2]
    index = flat_BHW.reshape(count, 1, -1).expand(-1, channels, -1)
    found = planes.reshape(count, channels, -1).gather(2, index).view(count, channels, *flat_BHW.shape[1:])
    found = found.masked_fill(~inside_BHW[:, None], 0)
    return found[:, 0] if tensor.ndim == 3 else found
