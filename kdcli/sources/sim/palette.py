"""Colours and materials. One parametric pattern covers planks, tiles, checkers, stripes, noise and plain paint.

A material is a row of ``WIDTH`` numbers, see ``pack``: a grid of cells (with rows that may be shifted, as planks are),
joints between the cells, a checker over the cells, a brightness that varies by cell, and smooth noise.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kdcli.sources.sim.hashing import Dice

WIDTH = 16


def hsv(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """Turn hue (turns), saturation and value into RGB on a new last dimension."""
    phases = (hue[..., None] * 6.0 + torch.tensor((5.0, 3.0, 1.0), device=hue.device)) % 6.0
    ramp = torch.minimum(phases, 4.0 - phases).clamp(0.0, 1.0)
    return value[..., None] * (1.0 - saturation[..., None] * ramp)


def colours(
    dice: Dice,
    *shape: int,
    hue: tuple[float, float] = (0.0, 1.0),
    saturation: tuple[float, float] = (0.0, 1.0),
    value: tuple[float, float] = (0.0, 1.0),
) -> Tensor:
    """Draw B x shape x 3 colours with hue, saturation and value in ranges."""
    return hsv(
        dice.uniform(*shape, low=hue[0], high=hue[1]),
        dice.uniform(*shape, low=saturation[0], high=saturation[1]),
        dice.uniform(*shape, low=value[0], high=value[1]),
    )


def pack(
    base: Tensor,
    second: Tensor,
    *,
    cell_u: Tensor | float = 1000.0,
    cell_v: Tensor | float = 1000.0,
    shift: Tensor | float = 0.0,
    joint: Tensor | float = 0.0,
    checker: Tensor | float = 0.0,
    vary: Tensor | float = 0.0,
    noise: Tensor | float = 0.0,
    grain: Tensor | float = 0.3,
    line: Tensor | float = 0.0,
    salt: Tensor | float = 0.0,
) -> Tensor:
    """Put materials into rows: B x K x WIDTH.

    base, second: B x K x 3 colours, blended by checker (0..1). cell_u, cell_v: metres. shift: how far rows slide, in
    cells. joint: width in metres, drawn in the second colour with weight ``line``. vary: brightness spread by cell.
    noise: brightness spread of smooth noise with cells of ``grain`` metres. salt: makes equal materials differ.
    """
    numbers = (cell_u, cell_v, shift, joint, checker, vary, noise, grain, line, salt)
    columns = [
        value.expand(base.shape[:-1]) if isinstance(value, Tensor) else torch.full_like(base[..., 0], value)
        for value in numbers
    ]
    return torch.cat((base, second, torch.stack(columns, dim=-1)), dim=-1)


def choose(which: Tensor, options: list[Tensor]) -> Tensor:
    """Pick, for each of B x K, one of several B x K x F tables by an int64 number."""
    stacked = torch.stack(options, dim=2)
    index = which[..., None, None].expand(*which.shape, 1, stacked.shape[-1])
    return stacked.gather(2, index).squeeze(2)
