"""What is painted on a road: lines between and beside lanes, zebra crossings, stop lines."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kdcli.sources.sim.hashing import Dice
from kdcli.sources.sim.streets.road import Road

_NONE, _DASHED, _SOLID, _DOUBLE = range(4)
_ACROSS = 0.35
"""Size of a pixel across the view as a share of that on the ground, which is seen at a slant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Markings:
    """Paint of B scenes. middle_B, between_B: kind of the line in the middle and of those between other lanes.

    edges_B2: lines along the left and right edge. inset_B: their distance from it. width_B: of lines. period_B: of
    dashes, and share_B of it that is painted. zebra_B: z of a crossing of three metres, behind the camera where there
    is none. stop_B: stop lines where a road crosses. colour_B3, wear_B: of the paint.
    """

    middle_B: Tensor
    between_B: Tensor
    edges_B2: Tensor
    inset_B: Tensor
    width_B: Tensor
    period_B: Tensor
    share_B: Tensor
    zebra_B: Tensor
    stop_B: Tensor
    colour_B3: Tensor
    wear_B: Tensor


def draw_markings(dice: Dice, road: Road) -> Markings:
    """Draw the paint of roads; narrow and minor ones have none."""
    plain = dice.chance(probability=0.3) & (road.lanes_B <= 2)
    middle = dice.weighted(weights=(0.12, 0.55, 0.23, 0.1))
    middle = torch.where(
        plain | (road.lanes_B == 1), _NONE, torch.where(road.lanes_B == 4, middle.clamp(min=_SOLID), middle)
    )
    white = dice.uniform(1, low=0.6, high=0.95).expand(-1, 3)
    yellow = torch.tensor((0.85, 0.6, 0.12), device=dice.device)
    zebra = dice.uniform(low=7.0, high=32.0)
    near = road.ground.knots_BK[:, 1] - 5.0
    zebra = torch.where(road.crossed_B & (near > 6.0), near, zebra)
    return Markings(
        middle_B=middle,
        between_B=torch.where(dice.chance(probability=0.9), _DASHED, _SOLID),
        edges_B2=dice.chance(1, probability=0.45).expand(-1, 2) & dice.chance(2, probability=0.8) & ~plain[:, None],
        inset_B=dice.uniform(low=0.15, high=0.45),
        width_B=dice.uniform(low=0.1, high=0.2),
        period_B=dice.uniform(low=3.0, high=12.0),
        share_B=dice.uniform(low=0.3, high=0.6),
        zebra_B=torch.where(dice.chance(probability=0.13), zebra, -20.0),
        stop_B=road.crossed_B & dice.chance(probability=0.6),
        colour_B3=torch.where(dice.chance(1, probability=0.1), yellow, white),
        wear_B=dice.uniform(low=0.0, high=0.55),
    )


def painted(marks: Markings, road: Road, off: Tensor, along: Tensor, footprint: Tensor) -> Tensor:
    """Return how far the carriageway is covered with paint, B x N. off: metres right of the centre line; along: z."""
    fine = footprint * _ACROSS
    width = marks.width_B[:, None]

    def line(place: Tensor, wide: Tensor = width) -> Tensor:
        gap = (off - place[:, None]).abs()
        return ((0.5 * (wide + fine) - gap) / fine).clamp(0.0, 1.0) * (wide / fine).clamp(max=1.0)

    def band(begin: Tensor, wide: float) -> Tensor:
        gap = 0.5 * wide - (along - begin[:, None] - 0.5 * wide).abs()
        return (gap / (2.0 * footprint) + 0.5).clamp(0.0, 1.0)

    period, share = marks.period_B[:, None], marks.share_B[:, None]
    phase = along / period
    long = footprint / _ACROSS
    dash = ((0.5 * share - (phase - phase.floor() - 0.5).abs()) * period / long + 0.5).clamp(0.0, 1.0)
    dash = torch.lerp(dash, share.expand_as(dash), (long / period - 0.3).clamp(0.0, 1.0))
    lanes, half = road.lanes_B, road.half_B
    cover = torch.zeros_like(off)
    for k in (1, 2, 3):
        place = half * (2.0 * k / lanes - 1.0)
        middle = lanes == 2 * k
        kind = torch.where(middle, marks.middle_B, marks.between_B)
        kind = torch.where((lanes <= k) | ((lanes == 2) & (k != 1)), _NONE, kind)[:, None]
        apart = torch.where(kind[:, 0] == _DOUBLE, 1.1 * marks.width_B, 0.0)
        here = line(place) if k != 1 and k != 2 else torch.maximum(line(place - apart), line(place + apart))
        cover = torch.maximum(cover, here * torch.where(kind == _DASHED, dash, 1.0) * (kind != _NONE))
    for side, sign in ((0, -1.0), (1, 1.0)):
        edge = line(sign * (half - marks.inset_B))
        cover = torch.maximum(cover, edge * marks.edges_B2[:, side, None])
    knots = road.ground.knots_BK
    mouth = road.crossed_B[:, None] & (along > knots[:, 1, None]) & (along < knots[:, 2, None])
    inside = off.abs() < half[:, None]
    cover = cover * (inside & ~mouth)
    # Bars of half a metre along the road, over its whole width.
    bar = ((0.25 - (off - off.floor() - 0.5).abs()) / fine + 0.5).clamp(0.0, 1.0)
    zebra = band(marks.zebra_B, 3.2)
    cover = torch.lerp(
        cover, torch.lerp(bar, torch.full_like(bar, 0.5), (fine * 2.0 - 0.3).clamp(0.0, 1.0)), zebra * inside
    )
    own = inside & (off * road.own_B[:, None] >= 0.0) & marks.stop_B[:, None]
    return torch.maximum(cover, band(knots[:, 1] - 1.2, 0.4) * own)
