"""What an extra metric is shown: one image's depth, predicted and true, its camera, and what the set knows of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kdcli.types import Geometry


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One image.

    prediction, truth: aligned and true depth in metres, H x W float32. valid: where truth counts, H x W. camera: focal
    lengths and centre in pixels of these maps (fx, fy, cx, cy), 4; None where the source does not know it. geometry:
    edges and planes, where the set has them. said: where the prediction says anything, H x W; None = everywhere.
    """

    prediction: Tensor
    truth: Tensor
    valid: Tensor
    camera: Tensor | None = None
    geometry: Geometry | None = None
    said: Tensor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """A metric, or some that are found together.

    columns: their names. measure: a scene -> as many numbers, NaN where an image has none. better: ``less`` or ``more``
    by column, empty for a count. unit: of all columns, where they have one. weight: the column that weighs the others
    in means over images; None = images weigh alike.
    """

    columns: tuple[str, ...]
    measure: Callable[[Scene], tuple[float, ...]]
    better: tuple[str, ...]
    unit: tuple[str, ...] = ()
    weight: str | None = None


def points(depth: Tensor, camera: Tensor, first: float = 0.0) -> Tensor:
    """Return what a camera sees as points, H x W x 3 float64: right, down, forward, in the units of depth.

    first: coordinate of the first pixel's centre.
    """
    fx, fy, cx, cy = camera.double().unbind()
    height, width = depth.shape
    rows = torch.arange(height, device=depth.device, dtype=torch.float64)[:, None] + first
    columns = torch.arange(width, device=depth.device, dtype=torch.float64)[None] + first
    z = depth.double()
    return torch.stack([(columns - cx) / fx * z, (rows - cy) / fy * z, z], dim=-1)


def median(values: Tensor) -> float:
    """Return the median of N numbers, the mean of the middle two if N is even."""
    return float(values.double().quantile(0.5)) if values.numel() < 2**24 else float(values.median())
