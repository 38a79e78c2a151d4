"""Losses that look at one pixel at a time: L1, L1 of logarithms, reversed Huber."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor

from kdcli.errors import ConfigError
from kdcli.losses.base import PointwiseLoss


class L1(PointwiseLoss):
    """Mean absolute difference in the depth's own unit.

    ``form=hu`` is the depth term of Hu et al. (Revisiting Single Image Depth Estimation, 2019), mean ln(|e| + alpha),
    which pulls harder on small errors than on large ones. Its smallest value is ln alpha; with ``zero_floor`` that
    constant is taken off (same gradient, smallest value 0).
    """

    name: ClassVar[str] = "l1"

    def __init__(self, *, form: Literal["plain", "hu"] = "plain", alpha: float = 0.5, zero_floor: bool = True) -> None:
        if alpha <= 0:
            raise ConfigError(f"l1: alpha={alpha} must be above 0")
        self.form, self.alpha = form, alpha
        self.offset = math.log(alpha) if zero_floor else 0.0
        self.value_at_equality = 0.0 if form == "plain" or zero_floor else math.log(alpha)

    def pixel(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return |e|, or ln(|e| + alpha)."""
        error = (prediction - target).abs()
        return error if self.form == "plain" else (error + self.alpha).log() - self.offset


class LogL1(PointwiseLoss):
    """Mean absolute difference of natural logarithms: relative errors, near and far alike.

    Depths below ``floor`` (metres) count as ``floor``; the gradient there is 0.
    """

    name: ClassVar[str] = "log-l1"

    def __init__(self, *, floor: float = 1e-3) -> None:
        if floor <= 0:
            raise ConfigError(f"log-l1: floor={floor} must be above 0")
        self.floor = floor

    def pixel(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return |ln prediction - ln target|."""
        return (prediction.clamp_min(self.floor).log() - target.clamp_min(self.floor).log()).abs()


class BerHu(PointwiseLoss):
    """Reversed Huber of Laina et al. (2016): |e| up to c, (e^2 + c^2) / 2c above; c = ``share`` of the largest |e|.

    c is taken over the batch and carries no gradient: through it the loss would reward making the largest error
    larger, since that widens the linear zone of all other pixels. ``threshold`` fixes c instead.
    """

    name: ClassVar[str] = "berhu"

    def __init__(self, *, share: float = 0.2, threshold: float | None = None) -> None:
        if not 0 < share <= 1:
            raise ConfigError(f"berhu: share={share} must be above 0 and at most 1")
        if threshold is not None and threshold <= 0:
            raise ConfigError(f"berhu: threshold={threshold} must be above 0")
        self.share, self.threshold = share, threshold

    def pixel(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the reversed Huber map."""
        error = (prediction - target).abs()
        if self.threshold is None:
            border = (self.share * error.detach().amax()).clamp_min(1e-6)
            return torch.where(error <= border, error, (error.square() + border.square()) / (2 * border))
        return torch.where(error <= self.threshold, error, (error.square() + self.threshold**2) / (2 * self.threshold))
