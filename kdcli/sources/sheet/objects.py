"""Object ids as colours, with their numbers where there is room."""

from __future__ import annotations

import colorsys

import torch
from torch import Tensor

from kdcli.sources.sheet.words import Word

_GOLDEN = 0.6180339887498949
_NAMED, _LARGE = 24, 0.004
"""Most objects whose id is written, and the least share of the picture that they take up."""


def paint_objects(instances_HW: Tensor) -> Tensor:
    """Paint object ids, H x W whole numbers, as 3 x H x W: id 0 dark, each other in its own colour everywhere."""
    ids, where = torch.unique(instances_HW, return_inverse=True)
    colours = [
        (0.1, 0.1, 0.1) if i == 0 else colorsys.hsv_to_rgb(i * _GOLDEN % 1, 0.55 + 0.4 * (i % 3) / 2, 0.95)
        for i in ids.tolist()
    ]
    return torch.tensor(colours, dtype=torch.float32)[where].permute(2, 0, 1).contiguous()


def object_names(instances_HW: Tensor) -> list[Word]:
    """Return the ids of the largest objects, each at one of its own pixels near its middle, as shares of the size."""
    ids, where, counts = torch.unique(instances_HW, return_inverse=True, return_counts=True)
    largest = [i for i in counts.argsort(descending=True).tolist() if ids[i] != 0][:_NAMED]
    words = []
    for i in largest:
        if counts[i] < _LARGE * instances_HW.numel():
            break
        pixels = (where == i).nonzero().float()
        middle = pixels[(pixels - pixels.mean(0)).square().sum(1).argmin()]
        y, x = ((middle + 0.5) / torch.tensor(instances_HW.shape)).tolist()
        words.append(Word(text=str(int(ids[i])), y=y, x=x))
    return words
