"""Orientation of surfaces, and the error within ranges of distance."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kdcli.evals.extras.scene import Scene, median, points

WITHIN = (11.25, 22.5, 30.0)
"""Degrees."""
RANGES = ((0, 2), (2, 5), (5, 10), (10, 20), (20, 40), (40, 80))
"""Metres of true depth, the first of each included."""


def normals(scene: Scene) -> tuple[float, ...]:
    """Return mean and median angle between normals of predicted and true depth in degrees, and the shares within 11.25,
    22.5 and 30 degrees.

    Normals are cross products of central differences of the points that the camera sees. They count where a pixel and
    its four neighbours do. NaN without a camera.
    """
    counted = scene.valid[1:-1, 1:-1].clone()
    for neighbour in (scene.valid[:-2, 1:-1], scene.valid[2:, 1:-1], scene.valid[1:-1, :-2], scene.valid[1:-1, 2:]):
        counted &= neighbour
    if scene.camera is None or not bool(counted.any()):
        return (math.nan,) * (2 + len(WITHIN))
    truth = torch.where(scene.valid, scene.truth, 1.0)
    said, true = (_normals(one, scene.camera)[counted] for one in (scene.prediction, truth))
    sine = torch.linalg.cross(said, true).norm(dim=-1)
    angle = torch.rad2deg(torch.atan2(sine, (said * true).sum(-1)))
    shares = [float((angle < limit).double().mean()) for limit in WITHIN]
    return float(angle.mean()), median(angle), *shares


def distances(scene: Scene) -> tuple[float, ...]:
    """Return the mean of |p - g| / g within each of ``RANGES``; NaN where nothing is that far."""
    p, g = (one[scene.valid].double() for one in (scene.prediction, scene.truth))
    error = (p - g).abs() / g
    return tuple(float(error[(g >= near) & (g < far)].mean()) for near, far in RANGES)


def _normals(depth: Tensor, camera: Tensor) -> Tensor:
    seen = points(depth, camera)
    across, down = seen[1:-1, 2:] - seen[1:-1, :-2], seen[2:, 1:-1] - seen[:-2, 1:-1]
    return torch.nn.functional.normalize(torch.linalg.cross(across, down), dim=-1)
