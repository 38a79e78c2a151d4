"""Cameras in pixels: fx, fy, cx, cy, and how they change with the picture that they belong to.

There is one convention, that of OpenCV and of most data sets: the middle of the first pixel is (0, 0). A point X, Y, Z
in the camera's axes (right, down, forward) is seen at column fx X / Z + cx and row fy Y / Z + cy. A camera that looks
through the middle of its picture has cx = (W - 1) / 2, and the picture reaches from -0.5 to W - 0.5.

All functions take and return a tuple of four numbers or a tensor ... x 4. Sizes are height and width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

Camera = tuple[float, float, float, float]
"""fx, fy, cx, cy."""
Size = tuple[int, int]
AnyCamera = TypeVar("AnyCamera", Camera, Tensor)


def resize_camera(camera: AnyCamera, before: Size, after: Size) -> AnyCamera:
    """Return the camera of a picture that was stretched from one size to another; the same one if they are equal."""
    if tuple(before) == tuple(after):
        return camera
    down, across = after[0] / before[0], after[1] / before[1]
    return _changed(camera, lambda fx, fy, cx, cy: (
        fx * across, fy * down, (cx + 0.5) * across - 0.5, (cy + 0.5) * down - 0.5,
    ))  # fmt: skip


def crop_camera(camera: AnyCamera, top: float | Tensor, left: float | Tensor) -> AnyCamera:
    """Return the camera of a window whose first pixel is at (top, left) of the picture; of a batch a window each."""
    return _changed(camera, lambda fx, fy, cx, cy: (fx, fy, cx - left, cy - top))


def mirror_camera(camera: AnyCamera, width: int) -> AnyCamera:
    """Return the camera of a picture that was mirrored from left to right."""
    return _changed(camera, lambda fx, fy, cx, cy: (fx, fy, width - 1 - cx, cy))


def turn_camera(camera: AnyCamera, how: int, size: Size) -> AnyCamera:
    """Return the camera of a picture that was brought upright.

    how: its orientation as EXIF numbers them: 1 as stored, 2 mirrored left to right, 3 half a turn, 4 mirrored top to
    bottom, 5 mirrored about the main diagonal, 6 a quarter clockwise, 7 mirrored about the other diagonal, 8 a quarter
    back. size: as stored.
    """
    height, width = size

    def turned(fx: Any, fy: Any, cx: Any, cy: Any) -> tuple[Any, ...]:
        if how in (2, 3, 7, 8):
            cx = width - 1 - cx
        if how in (3, 4, 6, 7):
            cy = height - 1 - cy
        return (fy, fx, cy, cx) if how >= 5 else (fx, fy, cx, cy)

    return _changed(camera, turned)


def roll_camera(camera: Tensor, angle: Tensor, size: Size) -> Tensor:
    """Return cameras B x 4 of pictures that were turned about the middle of their frame, by B radians clockwise.

    Focal lengths stay those of the centre, which is exact where fx = fy.
    """
    middle_x, middle_y, cos, sin = (size[1] - 1) / 2, (size[0] - 1) / 2, angle.cos(), angle.sin()

    def rolled(fx: Tensor, fy: Tensor, cx: Tensor, cy: Tensor) -> tuple[Tensor, ...]:
        x, y = cx - middle_x, cy - middle_y
        return fx, fy, cos * x - sin * y + middle_x, sin * x + cos * y + middle_y

    return _changed(camera, rolled)


def _changed(camera: AnyCamera, change: Callable[[Any, Any, Any, Any], tuple[Any, ...]]) -> AnyCamera:
    if isinstance(camera, Tensor):
        return torch.stack(change(*camera.unbind(-1)), dim=-1)
    fx, fy, cx, cy = change(*camera)
    return fx, fy, cx, cy
