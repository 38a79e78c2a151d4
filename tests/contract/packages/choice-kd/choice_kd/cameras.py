"""Photographs of many cameras: every image gets a focal length of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch

from kdcli.protocols import API_VERSION, MixContext
from kdcli.types import Batch


class Cameras:
    """Draws focal lengths between one and two image widths."""

    api_version: ClassVar[int] = API_VERSION

    def mix(self, batch: Batch, ctx: MixContext) -> Batch:
        """Return the batch with other intrinsics."""
        height, width = batch.image.shape[-2:]
        device = batch.image.device
        focal = width * (1 + torch.rand(len(batch), generator=ctx.generator, device=device))
        centre = torch.tensor([(width - 1) / 2, (height - 1) / 2], device=device).expand(len(batch), 2)
        return replace(batch, intrinsics=torch.cat([torch.stack([focal, focal], dim=1), centre], dim=1))
