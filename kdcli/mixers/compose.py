"""What the mixers share: partners, random numbers, and putting one image over another.

All of it is batched tensor arithmetic on the batch's device. Nothing reads a tensor back to the host, so a step that
mixes never waits for the device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from kdcli.errors import ConfigError

if TYPE_CHECKING:
    from kdcli.protocols import MixContext
    from kdcli.types import Batch


def partners(count: int, ctx: MixContext, device: torch.device) -> Tensor:
    """Return whom each image is mixed with: one random cycle through the batch, so nobody meets itself.

    A batch of one is its own partner.
    """
    order = torch.randperm(count, generator=ctx.generator, device=device)
    return torch.empty_like(order).scatter_(0, order, order.roll(-1))


def donors(batch: Batch, ctx: MixContext) -> Batch:
    """Return the batch with every image replaced by its partner; the ids stay those of the receivers."""
    order = partners(len(batch), ctx, batch.image.device)
    return batch.map_tensors(lambda tensor: tensor[order])


def uniform(shape: tuple[int, ...], ctx: MixContext, device: torch.device) -> Tensor:
    """Return random numbers in 0..1 (1 excluded) from the step's generator."""
    return torch.rand(shape, generator=ctx.generator, device=device)


def beta(count: int, alpha: float, ctx: MixContext, device: torch.device) -> Tensor:
    """Return ``count`` numbers of the symmetric Beta(alpha, alpha) distribution."""
    gamma = torch._standard_gamma(torch.full((2, count), alpha, device=device), generator=ctx.generator)
    gamma = gamma.clamp_min(1e-30)
    return gamma[0] / gamma.sum(0)


def blend(under: Tensor, over: Tensor, opacity: Tensor) -> Tensor:
    """Return ``over`` on ``under``; B x C x H x W with opacity B x 1 x H x W in 0..1.

    Where the opacity is 0 or 1 the result is bit-equal to one of the two.
    """
    opacity = opacity.to(under.dtype)
    mixed = under + opacity * (over - under)
    return torch.where(opacity == 0, under, torch.where(opacity == 1, over, mixed))


def merge_instances(under: Tensor, over: Tensor, mask: Tensor) -> Tensor:
    """Return instance ids with ``over``'s inside the mask, raised above ``under``'s largest so that they stay distinct.

    Ids are B x H x W with 0 = no object, the mask B x H x W bool.
    """
    top = under.flatten(1).amax(1).view(-1, 1, 1)
    return torch.where(mask, torch.where(over > 0, over + top, 0), under)


def check_share(mixer: str, **values: float) -> None:
    """Check that options are within 0..1.

    Raises:
        ConfigError: one is not.
    """
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise ConfigError(f"{mixer}: {name}={value} must be within 0..1")
