"""MixUp: the convex combination of two images (Zhang et al. 2018)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import torch

from kdcli.errors import ConfigError
from kdcli.mixers.compose import beta, blend, check_share, partners, uniform
from kdcli.protocols import API_VERSION

if TYPE_CHECKING:
    from kdcli.protocols import MixContext
    from kdcli.types import Batch


class MixUp:
    """Blend each image with its partner's, which weighs Beta(alpha, alpha) taken below one half.

    Two depths at one pixel have no meaningful mean, so depth, valid, labelled and instances are dropped.
    """

    api_version: ClassVar[int] = API_VERSION

    def __init__(self, *, probability: float = 1.0, alpha: float = 0.4) -> None:
        check_share("mixup", probability=probability)
        if alpha <= 0:
            raise ConfigError(f"mixup: alpha={alpha} must be above 0")
        self.probability, self.alpha = probability, alpha

    def mix(self, batch: Batch, ctx: MixContext) -> Batch:
        """Return the batch with blended images and no labels."""
        count, device = len(batch), batch.image.device
        other = batch.image[partners(count, ctx, device)]
        weight = beta(count, self.alpha, ctx, device)
        weight = torch.minimum(weight, 1 - weight)
        weight = torch.where(uniform((count,), ctx, device) < self.probability, weight, 0.0)
        image = blend(batch.image, other, weight.view(-1, 1, 1, 1).to(batch.image.dtype))
        return replace(batch, image=image, depth=None, valid=None, labelled=None, instances=None, taught=None)
