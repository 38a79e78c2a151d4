"""The source's own depth as the teacher: supervised training becomes the same command."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from kdcli.errors import ConfigError
from kdcli.protocols import API_VERSION
from kdcli.types import Batch, DepthKind, Prediction, Provenance, Tap


class GroundTruth(nn.Module):
    """Answers with the depth that the source gives for each image."""

    api_version: ClassVar[int] = API_VERSION
    differentiable = False

    def __init__(self, *, min_depth: float = 1e-3, max_depth: float = 1000.0) -> None:
        super().__init__()
        self.depth_kind = DepthKind.METRIC
        self.depth_range = (min_depth, max_depth)
        self.taps: dict[str, Tap] = {}
        self.provenance = Provenance(name="ground-truth", licence="the data's own", training_data="the source itself")

    def from_batch(self, batch: Batch) -> Prediction:
        """Return the batch's ground truth as a prediction, valid where it was measured and in range.

        Raises:
            ConfigError: the source has no depth for these images.
        """
        if batch.depth is None:
            raise ConfigError(
                f"teacher 'ground-truth' needs depth, but '{batch.ids[0]}' has none; "
                "use a source with depth, and no mixer that drops it"
            )
        valid = torch.ones_like(batch.depth, dtype=torch.bool) if batch.valid is None else batch.valid
        low, high = self.depth_range
        return Prediction(
            depth=batch.depth, kind=self.depth_kind, valid=valid & (batch.depth >= low) & (batch.depth <= high)
        )

    def forward(self, image: Tensor) -> Prediction:
        """Refuse: ground truth cannot be told from an image.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            f"teacher 'ground-truth' knows no depth for {image.shape[0]} images alone; evaluate it with --data"
        )
