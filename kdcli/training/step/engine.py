"""A frozen teacher in another form that gives the same depth, for the steps of a stage."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A form of a teacher that was seen to give its depth for images of one size."""

    teacher: nn.Module
    network: nn.Module
    """From images to a ``Prediction``, as the teacher."""
    size: tuple[int, int]
    """Height and width that it was held against the teacher at."""

    def serves(self, image: Tensor) -> bool:
        """Whether it can take the teacher's place: images of that size, and nobody asks for a gradient to them."""
        asked = image.requires_grad and torch.is_grad_enabled()
        return not asked and tuple(image.shape[-2:]) == self.size
