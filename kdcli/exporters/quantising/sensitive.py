"""Which convolutions mind eight bits most: measured, one at a time, by what becomes of the depth."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kdcli.exporters.gate.compare import measure_of
from kdcli.exporters.inputs import TakesBytes
from kdcli.networks.rounding import LEAST, Convolutions, rounded
from kdcli.types import POSITIVE_DEPTH

IMAGES = 4
"""On which the effect of each is measured: they are to be put in order, not judged."""


def by_effect(model: nn.Module, images: Tensor) -> tuple[list[int], int]:
    """Return the numbers of a network's convolutions but the last, the most sensitive first, and how many there are.

    For each alone its weights are rounded to eight bits by output channel, and its input to eight bits over the range
    that it has on the images; what counts is the mean AbsRel of the depth to that of the network as it is.

    Args:
        model: in the form that is exported, in eval mode.
        images: B x 3 x H x W in 0..1.
    """
    bare = model.model if isinstance(model, TakesBytes) else model
    reference = next(iter(model.state_dict().values()), images).device
    images = images[:IMAGES].to(reference)
    ends: list[tuple[float, float]] = []

    def note(_: int, image: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        ends.append((min(float(image.min()), 0.0), max(float(image.max()), 0.0)))
        return image, weight

    with torch.no_grad():
        with Convolutions(note):
            said = bare(images)
        wanted = said.depth.double()
        measure = measure_of(wanted, positive=said.kind in POSITIVE_DEPTH)

        def effect(number: int) -> float:
            given = _alone(bare, images, number, ends[number])
            found = float(((given - wanted).abs() / measure).mean())
            return found if found == found else float("inf")

        effects = [effect(number) for number in range(len(ends) - 1)]
    order = sorted(range(len(effects)), key=lambda number: effects[number], reverse=True)
    return order, len(ends)


def _alone(model: nn.Module, images: Tensor, number: int, ends: tuple[float, float]) -> Tensor:
    """Return the depth of a network with one convolution in eight bits."""
    def change(at: int, image: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        return (_image(image, ends), rounded(weight)) if at == number else (image, weight)

    with Convolutions(change):
        depth: Tensor = model(images).depth.double()
    return depth


def _image(image: Tensor, ends: tuple[float, float]) -> Tensor:
    step = max((ends[1] - ends[0]) / 255, LEAST)
    return torch.fake_quantize_per_tensor_affine(image, step, round(-ends[0] / step), 0, 255)
