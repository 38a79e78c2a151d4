"""Random changes of what images look like, per image and on their device; nothing moves."""

from __future__ import annotations

import torch
from torch import Tensor

Range = tuple[float, float]
"""Least and greatest value that is drawn."""


def jitter(image_B3HW: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Vary brightness, contrast and colour of every image.

    Strength j draws a gain and a contrast per image from 1 +- j and a gain per channel from 1 +- j/2.
    """
    count = image_B3HW.shape[0]
    draws = torch.rand(count, 5, 1, 1, generator=generator, device=image_B3HW.device) * 2 - 1
    gain = 1 + strength * draws[:, 0:1]
    contrast = 1 + strength * draws[:, 1:2]
    colour = 1 + 0.5 * strength * draws[:, 2:5]
    mean = image_B3HW.mean(dim=(1, 2, 3), keepdim=True)
    return (((image_B3HW - mean) * contrast + mean) * gain * colour).clamp(0, 1)


def tone(
    image_B3HW: Tensor,
    *,
    gamma: Range,
    brightness: Range,
    colour: Range,
    probability: float,
    generator: torch.Generator,
) -> Tensor:
    """Raise an image to a random power, then multiply it by a random gain and by one for each channel.

    Each image is changed with the given probability, and stays to the bit otherwise: the augmentation of BTS (Lee et
    al., arXiv 1907.10326), which AdaBins and TIE-KD train with too. B x 3 x H x W in 0..1, and so is the result.
    """
    draws = torch.rand(image_B3HW.shape[0], 6, 1, 1, generator=generator, device=image_B3HW.device)

    def between(ends: Range, part: Tensor) -> Tensor:
        return ends[0] + (ends[1] - ends[0]) * part

    gain = between(brightness, draws[:, 1:2]) * between(colour, draws[:, 2:5])
    changed = (image_B3HW.pow(between(gamma, draws[:, 5:6])) * gain).clamp(0, 1)
    return torch.where(draws[:, 0:1] < probability, changed, image_B3HW)
