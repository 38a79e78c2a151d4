"""Augmentation on the device, before the mixers: mirroring, and colour changes."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from kdcli.types import Batch


def augment(batch: Batch, *, flip: bool, jitter: float, generator: torch.Generator) -> Batch:
    """Mirror half of the images with all that belongs to them, and vary brightness, contrast and colour.

    ``jitter`` j draws a gain and a contrast per image from 1 +- j and a gain per channel from 1 +- j/2.
    """
    if flip:
        batch = _mirror(batch, generator)
    if jitter:
        batch = replace(batch, image=_jitter(batch.image, jitter, generator))
    return batch


def _mirror(batch: Batch, generator: torch.Generator) -> Batch:
    chosen = torch.rand(len(batch), generator=generator, device=batch.image.device) < 0.5

    def turn(tensor: Tensor | None) -> Tensor | None:
        if tensor is None:
            return None
        return torch.where(chosen.view(-1, *[1] * (tensor.ndim - 1)), tensor.flip(-1), tensor)

    intrinsics = batch.intrinsics
    if intrinsics is not None:
        fx, fy, cx, cy = intrinsics.unbind(1)
        mirrored = torch.stack([fx, fy, batch.image.shape[-1] - cx, cy], dim=1)
        intrinsics = torch.where(chosen[:, None], mirrored, intrinsics)
    image = turn(batch.image)
    assert image is not None
    return replace(
        batch,
        image=image,
        depth=turn(batch.depth),
        valid=turn(batch.valid),
        instances=turn(batch.instances),
        intrinsics=intrinsics,
        taught=turn(batch.taught),
    )


def _jitter(image: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    count = image.shape[0]
    draws = torch.rand(count, 5, 1, 1, generator=generator, device=image.device) * 2 - 1
    gain = 1 + strength * draws[:, 0:1]
    contrast = 1 + strength * draws[:, 1:2]
    colour = 1 + 0.5 * strength * draws[:, 2:5]
    mean = image.mean(dim=(1, 2, 3), keepdim=True)
    return (((image - mean) * contrast + mean) * gain * colour).clamp(0, 1)
