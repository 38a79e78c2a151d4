"""What the mixers share: partners, random numbers, and putting one image over another.

All of it is batched tensor arithmetic on the batch's device. Nothing reads a tensor back to the host, so a step that
mixes never waits for the device. Large temporaries cost more than the arithmetic (on a CPU most of all), so results are
written into the copies that were just made wherever no gradient needs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from kdcli.errors import ConfigError

if TYPE_CHECKING:
    from kdcli.protocols import MixContext
    from kdcli.types import Batch

Partner = Literal["cycle", "random", "self"]


def partners(count: int, ctx: MixContext, device: torch.device, how: Partner = "cycle") -> Tensor:
    """Return whom each image is mixed with, as ``count`` positions in the batch.

    ``cycle`` is one random cycle through the batch: nobody meets itself and everybody gives once. ``random`` draws one
    of the others for each image, so that some give several times. ``self`` is the image itself. A batch of one is its
    own partner. A context with ``note(name, tensor)`` is told the positions.
    """
    if how == "cycle":
        order = torch.randperm(count, generator=ctx.generator, device=device)
        found = torch.empty_like(order).scatter_(0, order, order.roll(-1))
    else:
        found = torch.arange(count, device=device)
        if how == "random" and count > 1:
            found = (found + torch.randint(1, count, (count,), generator=ctx.generator, device=device)) % count
    note = getattr(ctx, "note", None)
    if note is not None:
        note("partners", found)
    return found


def donors(batch: Batch, ctx: MixContext) -> Batch:
    """Return the batch with every image replaced by its partner; the ids stay those of the receivers."""
    order = partners(len(batch), ctx, batch.image.device)
    return batch.map_tensors(lambda tensor: tensor.index_select(0, order))


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


def paste(mask: Tensor, over: Tensor, under: Tensor) -> Tensor:
    """Return ``over`` inside the bool mask and ``under`` outside, bit for bit; the mask may be broadcast.

    ``over`` is used up: the caller made it and needs it no more.
    """
    kept = over.requires_grad or under.requires_grad or over.dtype != under.dtype
    return torch.where(mask, over, under) if kept else torch.where(mask, over, under, out=over)


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
