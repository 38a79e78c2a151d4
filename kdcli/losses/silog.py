"""The scale-invariant logarithmic loss of Eigen et al. (2014), in the forms that BTS and AdaBins train with."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor

from kdcli.errors import ConfigError
from kdcli.losses.base import DepthLoss
from kdcli.maps import masked_mean, safe_sqrt


class SiLog(DepthLoss):
    """factor * sqrt(var(g) + (1 - variance_focus) * mean(g)^2) with g = ln prediction - ln target.

    ``variance_focus`` 0 is the root mean square of g, 1 ignores a common factor. Moments are over all valid pixels
    of the batch at once (``per=batch``, as published) or of each image (``per=image``, then averaged over images).
    ``unbiased`` divides the variance by n - 1 (AdaBins) instead of n (BTS).
    """

    name: ClassVar[str] = "silog"

    def __init__(
        self,
        *,
        variance_focus: float = 0.85,
        factor: float = 10.0,
        per: Literal["batch", "image"] = "batch",
        unbiased: bool = False,
        floor: float = 1e-3,
    ) -> None:
        if not 0 <= variance_focus <= 1:
            raise ConfigError(f"silog: variance_focus={variance_focus} must be within 0..1")
        if floor <= 0:
            raise ConfigError(f"silog: floor={floor} must be above 0")
        self.variance_focus, self.factor, self.per = variance_focus, factor, per
        self.unbiased, self.floor = unbiased, floor
        if variance_focus == 1 and per == "image":
            self.invariances = frozenset({"scale"})
        else:
            self.invariances = frozenset()

    def value(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the loss; images without a valid pixel do not count."""
        ratio = prediction.clamp_min(self.floor).log() - target.clamp_min(self.floor).log()
        dim = (0, 1, 2, 3) if self.per == "batch" else (1, 2, 3)
        keep = [1] * 4 if self.per == "batch" else [-1, 1, 1, 1]
        mean = masked_mean(ratio, valid, dim)
        # Centred moments: the difference of E[g^2] and E[g]^2 loses all digits of a small variance in float32.
        variance = masked_mean((ratio - mean.view(keep)).square(), valid, dim)
        count = valid.sum(dim)
        if self.unbiased:
            number = count.to(variance.dtype)
            variance = variance * (number / (number - 1).clamp_min(1))
        root = safe_sqrt(variance + (1 - self.variance_focus) * mean.square())
        return self.factor * masked_mean(root, count > 0)
