"""Running statistics of norms, left alone while somebody looks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


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
