"""The mode of every layer, put back after somebody had a look: what is frozen stays in evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def modes_kept(*models: nn.Module) -> Iterator[None]:
    """Give each layer of models back the mode that it has now, whatever the block puts them into.

    ``model.train(was_training)`` would not do: it goes down to every layer, and batch norms that somebody froze would
    learn from then on.
    """
    modes = [(module, module.training) for model in models for module in model.modules()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
