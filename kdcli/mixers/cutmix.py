"""CutMix: paste a random box of one image into another (Yun et al. 2019)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from kdcli.errors import ConfigError
from kdcli.mixers.compose import beta, check_share, donors, merge_instances, paste, uniform
from kdcli.protocols import API_VERSION

if TYPE_CHECKING:
    from kdcli.protocols import MixContext
    from kdcli.types import Batch


class CutMix:
    """Paste a box of the partner image with the share 1 - Beta(alpha, alpha) of the area, centred anywhere.

    The box may be cut off by the border. Depth, valid and labelled are dropped, since no scene has these depths; with
    ``labels`` they are pasted like the image (each pixel keeps the depth that its own image had).
    """

    api_version: ClassVar[int] = API_VERSION

    def __init__(self, *, probability: float = 1.0, alpha: float = 1.0, labels: bool = False) -> None:
        check_share("cutmix", probability=probability)
        if alpha <= 0:
            raise ConfigError(f"cutmix: alpha={alpha} must be above 0")
        self.probability, self.alpha, self.labels = probability, alpha, labels

    def mix(self, batch: Batch, ctx: MixContext) -> Batch:
        """Return the batch with boxes pasted in."""
        device = batch.image.device
        donor = donors(batch, ctx)
        mask = self.boxes(len(batch), batch.image.shape[-2], batch.image.shape[-1], ctx, device)
        mixed = replace(
            batch, image=paste(mask[:, None], donor.image, batch.image), depth=None, valid=None, labelled=None,
            taught=None,
        )
        if batch.instances is not None and donor.instances is not None:
            mixed = replace(mixed, instances=merge_instances(batch.instances, donor.instances, mask))
        if self.labels and batch.depth is not None and donor.depth is not None:
            own, other = _valid(batch), _valid(donor)
            mixed = replace(
                mixed,
                depth=torch.where(mask[:, None], donor.depth, batch.depth),
                valid=torch.where(mask[:, None], other, own),
            )
        return mixed

    def boxes(self, count: int, height: int, width: int, ctx: MixContext, device: torch.device) -> Tensor:
        """Return one box per image as a mask, count x height x width bool."""
        side = (1 - beta(count, self.alpha, ctx, device)).sqrt()
        side = torch.where(uniform((count,), ctx, device) < self.probability, side, 0.0)
        middle = uniform((2, count), ctx, device)

        def span(length: int, centre: Tensor) -> Tensor:
            at = (torch.arange(length, device=device) + 0.5) / length
            return (at - centre[:, None]).abs() < side[:, None] / 2

        return span(height, middle[0])[:, :, None] & span(width, middle[1])[:, None, :]


def _valid(batch: Batch) -> Tensor:
    assert batch.depth is not None
    valid = torch.ones_like(batch.depth, dtype=torch.bool) if batch.valid is None else batch.valid
    return valid if batch.labelled is None else valid & batch.labelled.view(-1, 1, 1, 1)
