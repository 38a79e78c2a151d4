"""Images are carried by one of several fitted transformation networks, more or less far, before other mixers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import nn

from kdcli.errors import SpecError
from kdcli.protocols import API_VERSION
from kdcli.transform import load

if TYPE_CHECKING:
    from kdcli.protocols import MixContext
    from kdcli.types import Batch


class Carried(nn.Module):
    """x + s (T_k(x) - x), with k drawn for each image from the files, and s uniformly between ``low`` and ``high``.

    Before another mixer it makes that one mix images which are transformed already. files: of ``kdcli fit-transform``,
    several joined by ``|``.
    """

    api_version: ClassVar[int] = API_VERSION

    def __init__(self, *, files: str, low: float = 1.0, high: float = 1.0) -> None:
        """Read the networks.

        Raises:
            SpecError: a range that is none. WeightsError: no such file, or no transformation network.
        """
        super().__init__()
        if not 0 <= low <= high:
            raise SpecError(f"carried: low={low:g} and high={high:g} must ascend from 0; for example low=0.5,high=1.5")
        self.networks = nn.ModuleList(load(Path(file))[0] for file in files.split("|"))
        self.low, self.high = low, high
        self.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> Carried:
        """Stay in evaluation mode."""
        return super().train(False)

    @torch.no_grad()
    def mix(self, batch: Batch, ctx: MixContext) -> Batch:
        """Return the batch with carried images; labels stay, since no pixel moves."""
        image, device = batch.image, batch.image.device
        which = torch.randint(len(self.networks), (len(batch), 1, 1, 1), generator=ctx.generator, device=device)
        carried = image
        for number, network in enumerate(self.networks):
            carried = torch.where(which == number, network(image).to(image.dtype), carried)
        share = torch.rand(len(batch), 1, 1, 1, generator=ctx.generator, device=device, dtype=image.dtype)
        share = self.low + (self.high - self.low) * share
        return replace(batch, image=(image + share * (carried - image)).clamp(0, 1), taught=None)
