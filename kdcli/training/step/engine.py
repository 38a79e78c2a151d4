"""A network in another form that gives the same depth, for the steps of a stage."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A form of a frozen teacher or of a student that was seen to give its depth for images of one size."""

    model: nn.Module
    """The network itself."""
    network: nn.Module
    """What runs in its place: from images to a ``Prediction``. A student's has the student's own parameters."""
    size: tuple[int, int]
    """Height and width that it was held against the network at."""
    captured: bool = False
    """Whether it runs as CUDA graphs, whose results last until those of the next batch."""

    def begin(self) -> None:
        """Let go of the last batch's results."""
        if self.captured:
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]

    def serves(self, image: Tensor) -> bool:
        """Whether it can take the network's place: images of that size, and nobody asks for a gradient to them."""
        asked = image.requires_grad and torch.is_grad_enabled()
        return not asked and tuple(image.shape[-2:]) == self.size
