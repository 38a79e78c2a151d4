"""Batch norms: one that can do with a single number, and running statistics left alone while somebody looks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn import functional


class Norm(nn.BatchNorm2d):
    """Batch norm that takes its running statistics where a batch holds one number per channel, which has no variance.

    That is the pooled map of a single image, on which training would otherwise stop.
    """

    def forward(self, feature: Tensor) -> Tensor:
        """Return the normalised map."""
        if self.training and feature.numel() == feature.shape[1]:
            return functional.batch_norm(
                feature, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
            )
        return super().forward(feature)


@contextmanager
def statistics_kept(model: nn.Module) -> Iterator[None]:
    """Keep the running statistics and batch counts of a model that trains as they are inside the block.

    Norms still take the statistics of the batch, so that the numbers are those of training. Their own switch is used,
    not a momentum of 0: that would let a batch which is not finite into the statistics.
    """
    tracking = [
        module for module in model.modules()
        if module.training and getattr(module, "track_running_stats", False)
    ]
    for module in tracking:
        module.track_running_stats = False  # type: ignore[assignment]
    try:
        yield
    finally:
        for module in tracking:
            module.track_running_stats = True  # type: ignore[assignment]
