"""What an exported file is given: images as kdcli has them, or bytes as cameras give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from kdcli.errors import WeightsError
from kdcli.types import Prediction

Input = Literal["float", "uint8"]

DESCRIBED: Mapping[Input, str] = {
    "float": "B x 3 x H x W float32, RGB in 0..1",
    "uint8": "B x H x W x 3 uint8, RGB",
}
"""What files say of their input in their metadata."""


class TakesBytes(nn.Module):
    """A model whose file is to take B x H x W x 3 uint8, RGB, as cameras and image decoders give them."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Prediction:
        """Predict for bytes."""
        said: Prediction = self.model(image.permute(0, 3, 1, 2).float() / 255)
        return said


def input_of(model: nn.Module) -> Input:
    """Return what a model's file is to take."""
    return "uint8" if isinstance(model, TakesBytes) else "float"


def input_in(metadata: Mapping[str, str], path: object) -> Input:
    """Return what a file takes, as its metadata says; files that do not say it take floats.

    Raises:
        WeightsError: it says something else.
    """
    said = metadata.get("image", DESCRIBED["float"])
    for name, text in DESCRIBED.items():
        if said == text:
            return name
    raise WeightsError(f"'{path}' says that it takes '{said[:60]}', which is not known here; export it again")


def example(kind: Input, batch: int, size: tuple[int, int]) -> Tensor:
    """Return an input of a shape, to trace a network with."""
    picture = torch.rand(batch, 3, *size)
    return picture if kind == "float" else as_given(picture, kind)


def as_given(image: Tensor, kind: Input) -> Tensor:
    """Return images B x 3 x H x W in 0..1 as a file takes them: contiguous, on the CPU."""
    image = image.detach().float().cpu()
    if kind == "uint8":
        image = (image * 255).round().clamp(0, 255).byte().permute(0, 2, 3, 1)
    return image.contiguous()


def in_steps(image: Tensor, kind: Input) -> Tensor:
    """Return images as a file sees them: in steps of 1/255 where it takes bytes."""
    return image if kind == "float" else (image * 255).round().clamp(0, 255) / 255
