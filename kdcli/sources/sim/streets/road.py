"""The road of a street: where it runs and rises, what its cross-section is, and where it is crossed.

Along the road a place is given by z and its distance from the centre line, to the right of it positive. The centre line
runs along z near the camera and may turn off further on; the ground may rise and fall along z.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from kdcli.sources.sim.hashing import Dice
from kdcli.sources.sim.scene import Ground

TOWN, HOUSES, GREEN, OPEN, WORKS = range(5)
"""What is beside a road; one for each side."""
SIGNS = (-1.0, 1.0)
"""Of the left and the right side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Road:
    """Roads of B scenes. bend_B: tangent of the angle that a road turns by about ``start_B``, over ``soft_B`` metres.

    half_B: half the carriageway. limits_B23: outer limits of three strips on the left and the right, as distances from
    the centre line: parking or cycle lane, pavement, verge. side_B2: what is beside it. lanes_B: 1 .. 4. own_B,
    oncoming_B: middle of the camera's lane and of the nearest of the other direction. crossed_B: whether a road
    crosses between knots 1 and 2 of the ground. raised_B: pavements are higher than the carriageway.
    parking_B2: the strip is for parked vehicles.
    """

    bend_B: Tensor
    start_B: Tensor
    soft_B: Tensor
    half_B: Tensor
    limits_B23: Tensor
    side_B2: Tensor
    lanes_B: Tensor
    own_B: Tensor
    oncoming_B: Tensor
    crossed_B: Tensor
    raised_B: Tensor
    parking_B2: Tensor
    ground: Ground

    def center(self, z: Tensor) -> Tensor:
        """Return x of the centre line at z (B x N)."""
        soft, start = self.soft_B[:, None], self.start_B[:, None]
        turned = F.softplus((z - start) / soft) - F.softplus(-start / soft)
        return self.bend_B[:, None] * soft * turned

    def slope(self, z: Tensor) -> Tensor:
        """Return dx/dz of the centre line at z (B x N)."""
        return self.bend_B[:, None] * torch.sigmoid((z - self.start_B[:, None]) / self.soft_B[:, None])

    def place(self, z: Tensor, off: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return x, height, z and yaw (B x N each) of places beside the road that face along it."""
        yaw = torch.atan(self.slope(z))
        x, ahead = self.center(z) + off * yaw.cos(), z - off * yaw.sin()
        return x, self.ground.at(ahead), ahead, yaw

    def off(self, x: Tensor, z: Tensor) -> Tensor:
        """Return how far right of the centre line places are (B x N)."""
        slope = self.slope(z)
        return (x - self.center(z)) * torch.rsqrt(slope * slope + 1.0)


def draw_road(dice: Dice) -> Road:
    """Draw roads."""
    device = dice.device
    both = dice.weighted(1, weights=(0.28, 0.34, 0.2, 0.1, 0.08))
    other = dice.weighted(2, weights=(0.22, 0.3, 0.28, 0.12, 0.08))
    side = torch.where(dice.chance(1, probability=0.55), both, other)
    rural = (side >= GREEN) & (side <= OPEN)
    lanes = 1 + dice.weighted(weights=(0.2, 0.58, 0.1, 0.12))
    lane = torch.where(lanes == 1, dice.uniform(low=3.6, high=6.0), dice.uniform(low=2.7, high=3.7))
    half = 0.5 * lane * lanes
    hand = torch.where(dice.chance(probability=0.75), 1.0, -1.0)
    # The camera's lane: the outer one, or the inner one of two.
    inner = torch.where(lanes == 1, 0.0, torch.where(lanes == 2, 0.5, torch.where(lanes == 3, 1.0, 1.5)))
    inner = torch.where((lanes == 4) & dice.chance(probability=0.5), 0.5, inner)
    own = hand * lane * inner
    nearest = torch.where(lanes == 3, 0.0, -hand * 0.5 * lane)
    oncoming = torch.where(lanes == 1, 0.0, nearest)
    parking = dice.chance(2, probability=0.55) & ~rural
    strip = torch.where(parking, dice.uniform(2, low=1.9, high=2.5), dice.uniform(2, low=-0.8, high=1.6).clamp(min=0.0))
    wide = torch.tensor(((1.6, 4.5), (1.0, 2.6), (-1.5, 1.8), (-2.0, 1.5), (0.0, 2.5)), device=device)[side]
    pavement = (wide[..., 0] + (wide[..., 1] - wide[..., 0]) * dice.uniform(2)).clamp(min=0.0)
    rim = torch.tensor(((0.0, 0.6), (0.0, 2.0), (0.8, 5.0), (0.8, 5.0), (0.0, 4.0)), device=device)[side]
    verge = rim[..., 0] + (rim[..., 1] - rim[..., 0]) * dice.uniform(2)
    limits = half[:, None, None] + torch.stack((strip, pavement, verge), dim=-1).cumsum(-1)
    crossed = dice.chance(probability=0.3)
    ground = _ground(dice, crossed)
    straight = dice.chance(probability=0.45)
    angle = dice.uniform(low=5.0, high=48.0) * torch.where(dice.chance(probability=0.5), 1.0, -1.0)
    bend = torch.where(straight, 0.0, (angle * (math.pi / 180.0)).tan())
    start = dice.uniform(low=18.0, high=70.0)
    return Road(
        bend_B=bend,
        start_B=torch.where(crossed, torch.maximum(start, ground.knots_BK[:, 2] + 12.0), start),
        soft_B=dice.uniform(low=3.0, high=12.0),
        half_B=half,
        limits_B23=limits,
        side_B2=side,
        lanes_B=lanes,
        own_B=own,
        oncoming_B=oncoming,
        crossed_B=crossed,
        raised_B=dice.chance(probability=0.8),
        parking_B2=parking,
        ground=ground,
    )


def _ground(dice: Dice, crossed: Tensor) -> Ground:
    """Draw a ground that is level at the camera; in many scenes it rises or falls further on."""
    step = torch.stack(
        (
            dice.uniform(low=9.0, high=24.0),
            torch.where(crossed, dice.uniform(low=6.0, high=12.0), dice.uniform(low=8.0, high=20.0)),
            dice.uniform(low=12.0, high=30.0),
        ),
        dim=1,
    )
    knots = F.pad(step.cumsum(1), (1, 0))
    # The sum of two draws: small slopes are commoner than steep ones.
    slope = 0.035 * dice.uniform(4, 2, low=-1.0, high=1.0).sum(-1)
    uneven = dice.chance(4, probability=0.6) & torch.tensor((False, True, True, True), device=dice.device)
    uneven = uneven & ~(crossed[:, None] & (torch.arange(4, device=dice.device) == 1))
    slope = torch.where(uneven, slope, 0.0)
    # A slope that is not drawn anew goes on, but for the first and where a road crosses.
    slope = torch.stack(
        (slope[:, 0], slope[:, 1], slope[:, 1] + slope[:, 2], slope[:, 1] + slope[:, 2] + slope[:, 3]), 1
    )
    height = F.pad((step * slope[:, :3]).cumsum(1), (1, 0))
    return Ground(knots_BK=knots, height_BK=height, slope_BK=slope)
