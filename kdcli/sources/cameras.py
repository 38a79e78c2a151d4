"""Cameras of images that are read at another size than the one that is known."""

from __future__ import annotations

Camera = tuple[float, float, float, float]


def resized_camera(camera: Camera, own: tuple[int, int], height: int, width: int) -> Camera:
    """Return fx, fy, cx, cy of an image of one size as they are at another; pixel centres are whole numbers."""
    fx, fy, cx, cy = camera
    down, across = height / own[0], width / own[1]
    return fx * across, fy * down, (cx + 0.5) * across - 0.5, (cy + 0.5) * down - 0.5
