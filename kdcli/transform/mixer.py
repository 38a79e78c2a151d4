"""A fitted transformation network as the last mixer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import torch

from kdcli.protocols import API_VERSION

if TYPE_CHECKING:
    from kdcli.protocols import MixContext
    from kdcli.transform.network import TransformNetwork
    from kdcli.types import Batch


class TransformMixer:
    """Apply a fitted, frozen network to the images of a batch; labels and instances stay.

    The geometry is untouched, so depth still holds. The network is kept out of training: it is in evaluation mode,
    without gradients, and follows the batch to its device.
    """

    api_version: ClassVar[int] = API_VERSION

    def __init__(self, network: TransformNetwork) -> None:
        self.network = network.eval().requires_grad_(False)

    def mix(self, batch: Batch, ctx: MixContext) -> Batch:
        """Return the batch with transformed images."""
        if next(self.network.parameters()).device != batch.image.device:
            self.network.to(batch.image.device)
        with torch.no_grad():
            return replace(batch, image=self.network(batch.image).to(batch.image.dtype))
