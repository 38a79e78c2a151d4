"""Response losses that TIE-KD is compared with (arXiv 2402.14340): student's against teacher's depth, in metres.

As released (``losses/ssim_loss.py``, ``mse_loss.py``, ``si_loss.py`` and their sums) and put right.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from kdcli.errors import ConfigError
from kdcli.losses.base import SEVERAL, DepthLoss
from kdcli.losses.dpm_kl import Form, check_form
from kdcli.losses.silog import SiLog
from kdcli.losses.tie_kd import METRIC, as_published
from kdcli.maps import masked_mean
from kdcli.types import Needs

SSIM_WEIGHT = 1.5
OFFSET = 1e-3
"""Metres that the released scale-invariant loss adds before the logarithm."""


class _Response(DepthLoss):
    """A sum of weighted parts. The released forms take targets of 0 as depth, except in the scale-invariant part."""

    needs = Needs(kinds=METRIC, teachers=SEVERAL)
    parts: ClassVar[tuple[str, ...]]

    def __init__(self, *, form: Form = "corrected", ssim_weight: float = SSIM_WEIGHT, si_weight: float = 1.0) -> None:
        check_form(self.name, form)
        if ssim_weight < 0 or si_weight < 0:
            raise ConfigError(f"{self.name}: ssim_weight={ssim_weight}, si_weight={si_weight} must not be negative")
        self.form, self.ssim_weight, self.si_weight = form, ssim_weight, si_weight
        self._ssim, self._si = as_published(form), SiLog(factor=1.0, unbiased=True)

    def __call__(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the scalar loss of maps B x 1 x h x w in metres.

        Raises:
            ConfigError: the maps differ in shape.
        """
        return torch.stack([self._part(name, prediction, target, valid) for name in self.parts]).sum()

    def value(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the mean square error of prepared maps."""
        return masked_mean((prediction - target).square(), valid)

    def _part(self, name: str, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        released = self.form == "released"
        everywhere = torch.isfinite(target) if released else valid
        if name == "ssim":
            return self.ssim_weight * self._ssim(prediction, target, everywhere)
        if name == "mse":
            return super().__call__(prediction, target, everywhere)
        known = torch.isfinite(target) & (target > 0) if released else valid
        shift = OFFSET if released else 0.0
        return self.si_weight * self._si(prediction + shift, target + shift, known)


class ResponseSsim(_Response):
    """1.5 (1 - SSIM) with TIE-KD's constants. ``form=released`` has its absolute values and zero padding."""

    name: ClassVar[str] = "response-ssim"
    parts = ("ssim",)


class ResponseMse(_Response):
    """Mean square error in square metres. ``form=released`` counts targets of 0 too, where the teacher says nothing."""

    name: ClassVar[str] = "response-mse"
    parts = ("mse",)


class ResponseSi(_Response):
    """sqrt(var(g) + 0.15 mean(g)^2) with g = ln prediction - ln target, variance unbiased, over the whole batch.

    ``form=released`` adds 1 mm to both before the logarithm. The authors weigh it by 1.0 (KITTI) or 1.5 (NYU):
    ``si_weight``.
    """

    name: ClassVar[str] = "response-si"
    parts = ("si",)


class ResponseSsimSi(_Response):
    """Sum of ``response-ssim`` and ``response-si``."""

    name: ClassVar[str] = "response-ssim-si"
    parts = ("ssim", "si")


class ResponseSsimMse(_Response):
    """Sum of ``response-ssim`` and ``response-mse``."""

    name: ClassVar[str] = "response-ssim-mse"
    parts = ("ssim", "mse")
