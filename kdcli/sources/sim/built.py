"""What is built into the rooms of ``interiors``: pieces of wall, pillars, beams. All of it belongs to the room."""

from __future__ import annotations

import torch
from torch import Tensor

from kdcli.sources.sim.hashing import Dice

BUILT = 6
"""Boxes that are part of the room."""


def build(dice: Dice, room: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Draw what is built in: nothing, a corner cut off (L-shaped rooms), a niche, a wall with a doorway, pillars, beams
    or a low wall.

    Returns centre and half size, B x BUILT x 3 each, and existence (B x BUILT).
    """
    x, y, z = (room * torch.tensor((0.5, 1.0, 0.5), device=room.device)).unbind(1)
    draw = dice.uniform(8)

    def between(slot: int, low: float | Tensor, high: float | Tensor) -> Tensor:
        return low + (high - low) * draw[:, slot]

    nought, far = torch.zeros_like(x), torch.full_like(x, 1e-3)
    none = (far, far * 2, far, far * 2, far, far * 2)
    depth, left = between(0, 0.4, 1.0), between(1, -0.6, 0.1) * x
    right = left + between(2, 0.9, 2.2)
    lintel = torch.minimum(between(3, 1.9, 2.2), y - 0.1)
    wall = between(4, -0.3, 0.3) * z
    door = between(5, -0.7, 0.7) * (x - 0.6)
    thick, wide = between(6, 0.05, 0.12), between(7, 0.4, 0.6)
    pillar = between(0, 0.12, 0.3)
    px, pz = between(1, 0.2, 0.7) * x, between(2, -0.7, 0.7) * z
    drop, beam = between(3, 0.1, 0.3), between(4, 0.06, 0.14)
    low = between(5, 0.8, 1.2)
    options = [
        [none] * BUILT,
        [(x * between(0, 0.0, 0.6), x, nought, y, z * between(1, 0.0, 0.6), z), *[none] * 5],
        [
            (-x, left, nought, y, z - depth, z),
            (right, x, nought, y, z - depth, z),
            (left, right, lintel, y, z - depth, z),
            *[none] * 3,
        ],
        [
            (-x, door - wide, nought, y, wall - thick, wall + thick),
            (door + wide, x, nought, y, wall - thick, wall + thick),
            (door - wide, door + wide, lintel, y, wall - thick, wall + thick),
            *[none] * 3,
        ],
        [
            (px - pillar, px + pillar, nought, y, pz - pillar, pz + pillar),
            (-px - pillar, -px + pillar, nought, y, pz - pillar, pz + pillar),
            *[none] * 4,
        ],
        [(-x, x, y - drop, y, z * share - beam, z * share + beam) for share in (-0.75, -0.45, -0.15, 0.15, 0.45, 0.75)],
        [(x * between(6, -0.2, 0.5), x, nought, low, wall - thick, wall + thick), *[none] * 5],
    ]
    ends = torch.stack([torch.stack([torch.stack(box, dim=1) for box in option], dim=1) for option in options], dim=1)
    which = dice.weighted(weights=(0.36, 0.19, 0.11, 0.12, 0.08, 0.08, 0.06))
    ends = ends.gather(1, which[:, None, None, None].expand(-1, 1, BUILT, 6))[:, 0]
    turn = torch.where(dice.chance(2, probability=0.5), 1.0, -1.0)[:, None]
    first, second = ends[..., 0::2], ends[..., 1::2]
    half = (second - first) * 0.5
    exists = (half > 2e-3).all(-1)
    center = (first + second) * 0.5
    # Mirrored at random, so that corners and niches are on every side.
    center = torch.stack((center[..., 0] * turn[..., 0], center[..., 1], center[..., 2] * turn[..., 1]), dim=-1)
    return center, half.clamp(min=1e-3), exists
