"""Steps and small scenes for the tests of mixers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kdcli.types import Batch

HEIGHT, WIDTH = 24, 32


@dataclass
class Step:
    generator: Any
    step: int = 0
    epoch: int = 0
    stage: str = "test"
    progress: float = 0.0


def step(seed: int = 0) -> Step:
    return Step(generator=torch.Generator().manual_seed(seed))


def scenes(count: int = 4) -> Batch:
    """Each image of one colour, with three boxes of 48 pixels, ids 1..3, and depth = 1 + its number."""
    shade = torch.arange(1, count + 1, dtype=torch.float32).view(-1, 1, 1, 1) / (count + 1)
    image = shade.expand(-1, 3, HEIGHT, WIDTH).clone()
    instances = torch.zeros(count, HEIGHT, WIDTH, dtype=torch.int64)
    for box in range(3):
        instances[:, 2 + 7 * box : 8 + 7 * box, 4 + 9 * box : 12 + 9 * box] = box + 1
    depth = torch.arange(1.0, count + 1).view(-1, 1, 1, 1).expand(-1, 1, HEIGHT, WIDTH).clone()
    return Batch(
        ids=tuple(f"scene{i}" for i in range(count)), image=image, depth=depth,
        valid=torch.ones_like(depth, dtype=torch.bool), instances=instances,
        labelled=torch.ones(count, dtype=torch.bool),
    )


def patterned(count: int = 6) -> Batch:
    """Every pixel differs from its neighbours and from the other images; whole numbers over powers of two only."""
    n = torch.arange(count * 3 * HEIGHT * WIDTH)
    image = ((n * 7919 + n // 2304 * 37) % 256).float().view(count, 3, HEIGHT, WIDTH) / 256
    row, column = torch.arange(HEIGHT).view(1, -1, 1), torch.arange(WIDTH).view(1, 1, -1)
    number = torch.arange(count).view(-1, 1, 1)
    ids = (row + 2 * number) // 6 * 5 + (column + 3 * number) // 7
    depth = 1 + ((row * 3 + column * 5 + number * 11) % 64).float().view(count, 1, HEIGHT, WIDTH) / 16
    return Batch(
        ids=tuple(map(str, range(count))), image=image, depth=depth, valid=depth * 16 % 7 > 0,
        instances=torch.where((row * column + number) % 3 > 0, ids, 0), labelled=torch.ones(count, dtype=torch.bool),
    )


def changed(before: Batch, after: Batch) -> Tensor:
    return (before.image != after.image).any(1)
