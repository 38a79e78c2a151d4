"""Raised pavements and banks along a street: boxes that follow its turns and slopes piece by piece."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kdcli.sources.sim.hashing import Dice
from kdcli.sources.sim.posed import turns
from kdcli.sources.sim.scene import BURIED, Posed
from kdcli.sources.sim.streets.road import GREEN, OPEN, SIGNS, Road

PIECES = 4
"""Along each side; they end where planes of the ground meet."""
_THICK = 0.5


def draw_walks(dice: Dice, road: Road) -> tuple[Posed, Tensor]:
    """Draw pavements that stand above the carriageway, or banks that rise beside it (K = 2 * PIECES, left ones first).

    Also the tangent of the banks' rise, B x 2, 0 where there is none.
    """
    device, batch = dice.device, len(road.half_B)
    rural = (road.side_B2 == GREEN) | (road.side_B2 == OPEN)
    banked = dice.chance(2, probability=0.32) & rural
    angle = torch.where(banked, dice.uniform(2, low=8.0, high=32.0) * (math.pi / 180.0), 0.0)
    rise = dice.uniform(1, low=0.08, high=0.17).expand(-1, 2)
    inner = torch.where(banked, road.limits_B23[..., 2], road.limits_B23[..., 0] + 0.02)
    wide = torch.where(banked, dice.uniform(2, low=6.0, high=14.0), road.limits_B23[..., 1] - inner)
    there = banked | ((wide > 0.4) & road.raised_B[:, None])
    knots = road.ground.knots_BK
    ends = torch.cat((knots[:, :1] - 8.0, knots[:, 1:], knots[:, 3:] + 42.0), dim=1)
    sign = torch.tensor(SIGNS, device=device)[:, None]
    cos, sin = angle.cos(), angle.sin()

    def corner(z: Tensor, share: float) -> tuple[Tensor, ...]:
        off = (inner + share * wide * cos)[..., None] * sign
        x, y, ahead, _ = road.place(z[:, None].expand(-1, 2, -1).flatten(1), off.expand(-1, -1, PIECES).flatten(1))
        return x, y, ahead

    begin, end = corner(ends[:, :-1], 0.5), corner(ends[:, 1:], 0.5)
    dx, dy, dz = (b - a for a, b in zip(begin, end, strict=True))
    flat = (dx * dx + dz * dz).sqrt()
    roll = (angle[..., None] * sign).expand(-1, -1, PIECES).flatten(1)
    turn = turns(torch.atan2(dx, dz), torch.atan2(dy, flat), roll)
    up = torch.where(banked, 0.5 * wide * sin, rise)[..., None].expand(-1, -1, PIECES).flatten(1)
    top = torch.stack([0.5 * (a + b) for a, b in zip(begin, end, strict=True)], dim=-1)
    top = top + torch.stack((torch.zeros_like(up), up, torch.zeros_like(up)), dim=-1)
    half = torch.stack(
        (
            (0.5 * wide)[..., None].expand(-1, -1, PIECES).flatten(1),
            torch.full_like(up, 0.5 * _THICK),
            0.5 * (flat * flat + dy * dy).sqrt(),
        ),
        dim=-1,
    )
    open_road = torch.arange(PIECES, device=device) != 1
    exists = (there[..., None] & (open_road | ~road.crossed_B[:, None, None])).reshape(batch, -1)[..., None]
    buried = torch.tensor((0.0, BURIED, 0.0), device=device)
    return Posed(
        center=torch.where(exists, top - 0.5 * _THICK * turn[:, :, 1], buried),
        half=torch.where(exists, half, 0.001),
        turn=turn,
    ), torch.where(banked, angle.tan(), 0.0)
