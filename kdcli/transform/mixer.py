"""A fitted transformation network as the last mixer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import nn

from kdcli.errors import ConfigError
from kdcli.protocols import API_VERSION
from kdcli.transform.files import load

if TYPE_CHECKING:
    from kdcli.protocols import MixContext
    from kdcli.transform.network import TransformNetwork
    from kdcli.types import Batch


class TransformMixer(nn.Module):
    """Apply a fitted, frozen network to the images of a batch; labels and instances stay, since no pixel moves.

    ``probability`` is the share of the images that pass the network; the others stay as they are. The network stays in
    evaluation mode and without gradients whatever the training loop does to the modules around it.
    """

    api_version: ClassVar[int] = API_VERSION

    def __init__(self, network: TransformNetwork, *, probability: float = 1.0) -> None:
        super().__init__()
        if not 0 <= probability <= 1:
            raise ConfigError(f"transformation network: share {probability} must be within 0..1")
        self.network, self.probability = network, probability
        self.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> TransformMixer:
        """Stay in evaluation mode."""
        return super().train(False)

    @torch.no_grad()
    def mix(self, batch: Batch, ctx: MixContext) -> Batch:
        """Return the batch with transformed images; the network must be on the batch's device."""
        image: torch.Tensor = self.network(batch.image).to(batch.image.dtype)
        if self.probability < 1:
            draw = torch.rand(len(batch), 1, 1, 1, generator=ctx.generator, device=image.device)
            image = torch.where(draw < self.probability, image, batch.image)
        return replace(batch, image=image, taught=None)


def load_mixer(path: Path, *, probability: float = 1.0) -> TransformMixer:
    """Read a transformation network as a mixer, on the CPU.

    Raises:
        WeightsError: no such file, or not a transformation network.
    """
    return TransformMixer(load(path)[0], probability=probability)
