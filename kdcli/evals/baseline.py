"""The baseline that every network must beat: one number per image."""

from __future__ import annotations

from types import MappingProxyType

import torch
from torch import Tensor, nn

from kdcli.errors import ConfigError
from kdcli.evals.stored.model import is_stored, load_predictions
from kdcli.maps import masked_median
from kdcli.types import Batch, DepthKind, Prediction, Tap

NAME = "constant"
"""How the command line addresses it."""


class Constant(nn.Module):
    """Predict the median of the image's counted ground truth everywhere.

    It knows what no network knows, the scale of each image, and nothing else.
    """

    depth_kind = DepthKind.METRIC
    depth_range = (0.0, float("inf"))
    unknowns = 1
    """Numbers that it takes from each image's ground truth."""
    taps: MappingProxyType[str, Tap] = MappingProxyType({})

    def from_batch(self, batch: Batch) -> Prediction:
        """Return a prediction of the ground truth's size; NaN where an image has none to take the median of."""
        assert batch.depth is not None and batch.valid is not None
        median = masked_median(batch.depth, batch.valid)
        return Prediction(depth=median.expand_as(batch.depth), kind=self.depth_kind)

    def forward(self, image: Tensor) -> Prediction:
        """Refuse: without ground truth there is no median.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"model '{NAME}' needs ground truth; it can be evaluated, but not run on {len(image)} images")


def load(text: str, device: torch.device | str) -> nn.Module:
    """Return the model of a MODEL argument: ``constant``, ``predictions:DIR``, or whatever ``kdcli.models.load_model``
    reads."""
    if text == NAME:
        return Constant()
    if is_stored(text):
        return load_predictions(text)
    from kdcli.models import load_model

    return load_model(text, device)
