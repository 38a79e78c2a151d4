"""Losses on the shape of the surface: gradients of depth, and normals."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional

from kdcli.errors import ConfigError
from kdcli.losses.base import SEVERAL, DepthLoss, PointwiseLoss
from kdcli.maps import masked_mean
from kdcli.types import ANY_KIND, Needs

Border = Literal["replicate", "zero"]


class Gradient(DepthLoss):
    """Match depth gradients.

    ``form=log`` (default) and ``form=linear``: mean |difference of neighbours of e| over ``scales`` resolutions, each
    half the last by subsampling, summed (MegaDepth, MiDaS); e is the difference of log depths, or of depths.
    ``form=hu``: mean ln(|S_x e| + alpha) + mean ln(|S_y e| + alpha) with raw Sobel filters S (Hu et al. 2019). Its
    smallest value is 2 ln alpha; ``zero_floor`` takes that constant off. ``border=zero`` pads the Sobel filter with
    zeros, as the authors' code does: then a constant offset leaks into the border pixels.
    """

    name: ClassVar[str] = "gradient"

    def __init__(
        self,
        *,
        form: Literal["log", "linear", "hu"] = "log",
        scales: int = 4,
        alpha: float = 0.5,
        zero_floor: bool = True,
        border: Border = "replicate",
        floor: float = 1e-3,
    ) -> None:
        if scales < 1:
            raise ConfigError(f"gradient: scales={scales} must be at least 1")
        if alpha <= 0 or floor <= 0:
            raise ConfigError(f"gradient: alpha={alpha} and floor={floor} must be above 0")
        self.form, self.scales, self.alpha, self.floor, self.border = form, scales, alpha, floor, border
        self.offset = 2 * math.log(alpha) if zero_floor else 0.0
        self.value_at_equality = 2 * math.log(alpha) if form == "hu" and not zero_floor else 0.0
        if form == "log":
            self.invariances = frozenset({"scale"})
        elif form == "linear":
            self.needs = Needs(kinds=ANY_KIND, teachers=SEVERAL)

    def value(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the loss over the pixels whose neighbours are valid too."""
        if self.form == "log":
            error = prediction.clamp_min(self.floor).log() - target.clamp_min(self.floor).log()
            return neighbour_differences(error, valid, self.scales)
        error = prediction - target
        if self.form == "linear":
            return neighbour_differences(error, valid, self.scales)
        along_x, along_y = sobel(error, self.border)
        logs = (along_x.abs() + self.alpha).log() + (along_y.abs() + self.alpha).log() - self.offset
        return masked_mean(logs, erode(valid))


class Normals(PointwiseLoss):
    """Mean 1 - cos of the angle between surface normals n = (-S_x d, -S_y d, 1) of Hu et al. (2019).

    S are raw Sobel filters over pixels, not over metres of the scene, so this is the angle between slopes of the
    depth image. A constant offset changes nothing.
    """

    name: ClassVar[str] = "normals"

    def __init__(self, *, border: Border = "replicate") -> None:
        self.border = border

    def pixel(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return 1 - cos; 0 where a neighbour is invalid."""
        (px, py), (tx, ty) = sobel(prediction, self.border), sobel(target, self.border)
        # Cosine of (px, py, 1) and (tx, ty, 1); normalised first, since the product of two lengths may overflow.
        p = torch.cat([px, py, torch.ones_like(px)], dim=1)
        t = torch.cat([tx, ty, torch.ones_like(tx)], dim=1)
        cosine = (functional.normalize(p, dim=1) * functional.normalize(t, dim=1)).sum(1, keepdim=True)
        return torch.where(erode(valid), 1 - cosine, 0.0)

    def value(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the mean over the pixels whose neighbours are valid too."""
        return masked_mean(self.pixel(prediction, target, valid), erode(valid))


def neighbour_differences(error: Tensor, valid: Tensor, scales: int) -> Tensor:
    """Return the sum over scales of mean |right - left| + mean |lower - upper| over pairs of valid neighbours."""
    total = error.new_zeros(())
    for scale in range(scales):
        e, v = error[..., :: 2**scale, :: 2**scale], valid[..., :: 2**scale, :: 2**scale]
        if min(e.shape[-2:]) < 2:
            break
        across, both_across = e[..., 1:] - e[..., :-1], v[..., 1:] & v[..., :-1]
        down, both_down = e[..., 1:, :] - e[..., :-1, :], v[..., 1:, :] & v[..., :-1, :]
        total = total + masked_mean(across.abs(), both_across) + masked_mean(down.abs(), both_down)
    return total


def sobel(maps: Tensor, border: Border = "replicate") -> tuple[Tensor, Tensor]:
    """Return the raw Sobel responses of B x 1 x h x w along x and along y: 8 times the slope per pixel."""
    padded = functional.pad(maps, (1, 1, 1, 1), mode="replicate" if border == "replicate" else "constant")
    smooth_y = padded[..., :-2, :] + 2 * padded[..., 1:-1, :] + padded[..., 2:, :]
    smooth_x = padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]
    return smooth_y[..., 2:] - smooth_y[..., :-2], smooth_x[..., 2:, :] - smooth_x[..., :-2, :]


def erode(valid: Tensor) -> Tensor:
    """Return the pixels whose 3 x 3 neighbours inside the image are all valid."""
    return functional.max_pool2d((~valid).float(), 3, stride=1, padding=1) == 0
