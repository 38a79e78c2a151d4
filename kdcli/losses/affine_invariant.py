"""The scale- and shift-invariant loss of MiDaS (Ranftl et al. 2020): compare maps after aligning each image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor

from kdcli.errors import ConfigError
from kdcli.losses.base import SEVERAL, DepthLoss, prepare
from kdcli.losses.structure import neighbour_differences
from kdcli.maps import full_precision, masked_mean
from kdcli.types import ANY_KIND, Needs

if TYPE_CHECKING:
    from kdcli.protocols import StepContext

_PIXELS = (1, 2, 3)


class AffineInvariant(DepthLoss):
    """Mean absolute difference after per-image alignment; fits any depth kind, student and target alike.

    ``align=median``: both maps minus their median, over their mean absolute deviation from it. ``align=least-squares``:
    the factor and offset that bring the student closest to the target; gradients flow through both. ``trim`` leaves out
    that share of the largest residuals of each image (MiDaS: 0.2), which drops a teacher's outliers. ``gradient`` adds
    that much of the multi-scale differences of neighbours of the residual (MiDaS: 0.5).
    """

    name: ClassVar[str] = "affine-invariant"
    needs = Needs(kinds=ANY_KIND, teachers=SEVERAL)
    invariances = frozenset({"scale", "shift"})

    def __init__(
        self,
        *,
        align: Literal["median", "least-squares"] = "median",
        trim: float = 0.0,
        gradient: float = 0.0,
        scales: int = 4,
    ) -> None:
        if not 0 <= trim < 1:
            raise ConfigError(f"affine-invariant: trim={trim} must be within 0..1, below 1")
        if gradient < 0 or scales < 1:
            raise ConfigError(f"affine-invariant: gradient={gradient} must not be negative, scales={scales} at least 1")
        self.align, self.trim, self.gradient, self.scales = align, trim, gradient, scales

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return the aligned difference, and with ``gradient`` that of its neighbours."""
        target, valid = ctx.target()
        prediction = ctx.student.out.depth
        with full_precision(prediction.device):
            prediction, target, valid = prepare(prediction, target, valid)
            residual = self._residual(prediction, target, valid)
            found = {self.name: self._mean(residual, valid)}
            if self.gradient:
                found[f"{self.name}-gradient"] = self.gradient * neighbour_differences(residual, valid, self.scales)
            return found

    def value(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the sum of the terms."""
        residual = self._residual(prediction, target, valid)
        value = self._mean(residual, valid)
        if self.gradient:
            value = value + self.gradient * neighbour_differences(residual, valid, self.scales)
        return value

    def _residual(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        if self.align == "median":
            return normalise(prediction, valid) - normalise(target, valid)
        scale, shift = least_squares(prediction, target, valid)
        return scale * prediction + shift - target

    def _mean(self, residual: Tensor, valid: Tensor) -> Tensor:
        size = residual.abs()
        if not self.trim:
            return masked_mean(size, valid)
        ordered = torch.where(valid, size, torch.inf).flatten(1).sort(dim=1).values
        rank = torch.arange(ordered.shape[1], device=ordered.device)
        count = valid.flatten(1).sum(1, keepdim=True)
        return masked_mean(ordered, rank < torch.ceil(count * (1 - self.trim)))


def normalise(maps: Tensor, valid: Tensor) -> Tensor:
    """Return each image minus the median of its valid pixels, over their mean absolute deviation from it.

    The lower median is taken for an even count. An image without valid pixels is left as it is; a constant one gives 0.
    """
    count = valid.flatten(1).sum(1, keepdim=True)
    ordered = torch.where(valid, maps, torch.inf).flatten(1).sort(dim=1).values
    median = ordered.gather(1, (count - 1).clamp_min(0) // 2)
    median = torch.where(count > 0, median, 0.0).view(-1, 1, 1, 1)
    spread = masked_mean((maps - median).abs(), valid, _PIXELS).view(-1, 1, 1, 1)
    return (maps - median) / spread.clamp_min(1e-6)


def least_squares(prediction: Tensor, target: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Return the factor and offset per image, B x 1 x 1 x 1, that bring the prediction closest to the target.

    Solved around the means, which keeps float32 accurate. Without a valid pixel both are 0; for a constant prediction
    the factor is 0 and the offset the target's mean.
    """
    mean_p = masked_mean(prediction, valid, _PIXELS).view(-1, 1, 1, 1)
    mean_t = masked_mean(target, valid, _PIXELS).view(-1, 1, 1, 1)
    p, t = prediction - mean_p, target - mean_t
    spread = masked_mean(p * p, valid, _PIXELS).view(-1, 1, 1, 1)
    together = masked_mean(p * t, valid, _PIXELS).view(-1, 1, 1, 1)
    varies = spread > 1e-12
    scale = torch.where(varies, together / torch.where(varies, spread, 1.0), 0.0)
    return scale, mean_t - scale * mean_p
