"""Where trees, people, poles and signs of a street are."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kdcli.sources.sim.hashing import Dice
from kdcli.sources.sim.kinds import Kind, Pieces, draw_sizes
from kdcli.sources.sim.posed import turns
from kdcli.sources.sim.streets.catalogue import GANTRY, PEOPLE, POLES, THINGS, TREES
from kdcli.sources.sim.streets.road import GREEN, HOUSES, OPEN, TOWN, Road

NEAR_TREES, FAR_TREES, PERSONS, STANDING = 9, 9, 4, 7
"""Most trees beside the road and behind, people, and poles; the gantry is one more."""
COUNT = NEAR_TREES + FAR_TREES + PERSONS + STANDING + 1
_TREE_NAMES = [kind.name for kind in TREES]


def _far(dice: Dice, count: int, low: float, high: float) -> Tensor:
    """Draw distances whose logarithms are spread evenly: near things fill more of the picture."""
    return low * (high / low) ** dice.uniform(count)


def _side(dice: Dice, count: int) -> Tensor:
    return torch.where(dice.chance(count, probability=0.5), 1, 0)


def _limit(road: Road, side: Tensor, which: int) -> Tensor:
    return road.limits_B23[..., which].gather(1, side)


def draw_things(dice: Dice, road: Road, rise_B2: Tensor) -> Pieces:
    """Draw trees, people, poles and gantries (K = COUNT), nearest first."""
    groups = (_near_trees(dice, road), _far_trees(dice, road), _people(dice, road), _poles(dice, road))
    kind, size, z, side, off, yaw, exists = (
        torch.cat(rows, dim=1) for rows in zip(*groups, _gantry(dice, road), strict=True)
    )
    sign = side * 2.0 - 1.0
    x, y, at, along = road.place(z, off * sign)
    # On a bank things stand higher.
    past = (off - _limit(road, side, 2)).clamp(min=0.0, max=10.0)
    y = y + past * rise_B2.gather(1, side)
    # What would stand on the road where it turns is left out; but people cross it, and gantries span it.
    people = (kind >= len(TREES)) & (kind < len(TREES) + len(PEOPLE))
    spans = kind >= len(TREES) + len(PEOPLE) + len(POLES)
    clear = road.off(x, at).abs() > road.half_B[:, None] + 0.25
    mouth = (at > road.ground.knots_BK[:, 1, None] + 0.5) & (at < road.ground.knots_BK[:, 2, None] - 0.5)
    exists = exists & (clear | people | spans) & (~(mouth & road.crossed_B[:, None]) | people)
    # Free of the camera and of its way.
    exists = exists & (((x - road.own_B[:, None]).abs() > 1.6) | (at > 7.0)) & (at > 3.0)
    order = torch.where(exists, at, 1e3).argsort(dim=1, stable=True)
    three = order[..., None].expand(-1, -1, 3)
    level = torch.zeros_like(yaw)
    return Pieces(
        kinds=THINGS,
        kind=kind.gather(1, order),
        size=size.gather(1, three),
        place=torch.stack((x, y, at), dim=-1).gather(1, three),
        turn=turns(along + yaw, level, level).gather(1, order[..., None, None].expand(-1, -1, 3, 3)),
        exists=exists.gather(1, order),
    )


_Row = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


def _pick(dice: Dice, kinds: tuple[Kind, ...], count: int, first: int) -> tuple[Tensor, Tensor]:
    kind = dice.weighted(count, weights=tuple(k.weight for k in kinds))
    return kind + first, draw_sizes(kinds, kind, dice.uniform(count, 3)) * dice.uniform(count, 1, low=0.92, high=1.1)


def _near_trees(dice: Dice, road: Road) -> _Row:
    """Trees and bushes on the verge; in some streets a row of like ones at even distances."""
    n, device = NEAR_TREES, dice.device
    kind, size = _pick(dice, TREES, n, 0)
    row = dice.chance(1, probability=0.45)
    street = torch.tensor(_TREE_NAMES.index("street tree"), device=device)
    first = torch.where(dice.chance(1, probability=0.7), street, kind[:, :1])
    kind = torch.where(row, first, kind)
    # Large ones need room that pavements do not have.
    side = torch.where(row & dice.chance(1, probability=0.5), _side(dice, 1), _side(dice, n))
    beside = road.side_B2.gather(1, side)
    size = draw_sizes(TREES, kind, dice.uniform(n, 3) * torch.where(row, 0.25, 1.0)[..., None]) * dice.uniform(
        1, 1, low=0.85, high=1.2
    )
    large = torch.tensor([name in ("great tree", "thicket") for name in _TREE_NAMES], device=device)[kind]
    even = dice.uniform(1, low=4.0, high=14.0) + torch.arange(n, device=device) * dice.uniform(1, low=5.0, high=13.0)
    z = torch.where(row, even, _far(dice, n, 5.0, 75.0))
    bush = torch.tensor([name in ("bush", "thicket") for name in _TREE_NAMES], device=device)[kind]
    edge = torch.where(bush | large, _limit(road, side, 2) + 0.45 * size[..., 0], _limit(road, side, 1) + 0.2)
    off = edge + torch.where(row, dice.uniform(1, high=1.2), dice.uniform(n, high=3.5))
    share = torch.tensor((0.35, 0.6, 0.95, 0.5, 0.4), device=device)[beside]
    share = torch.where(row, 0.85, share)
    return kind, size, z, side, off, dice.uniform(n, high=2.0 * math.pi), dice.uniform(n) < share


def _far_trees(dice: Dice, road: Road) -> _Row:
    """Trees behind: in gardens, in woods, over roofs."""
    n, device = FAR_TREES, dice.device
    kind, size = _pick(dice, TREES, n, 0)
    side = _side(dice, n)
    beside = road.side_B2.gather(1, side)
    wood = (beside == GREEN) | (beside == OPEN)
    z = _far(dice, n, 10.0, 110.0)
    reach = torch.where(wood, 16.0, torch.where(beside == HOUSES, 8.0, 20.0))
    off = _limit(road, side, 2) + 0.3 * size[..., 0] + torch.where(wood, 2.0, 1.0) + dice.uniform(n) * reach
    off = off + torch.where(beside == TOWN, 12.0, 0.0)
    share = torch.tensor((0.35, 0.8, 1.0, 0.75, 0.6), device=device)[beside]
    return kind, size, z, side, off, dice.uniform(n, high=2.0 * math.pi), dice.uniform(n) < share


def _people(dice: Dice, road: Road) -> _Row:
    n = PERSONS
    kind, size = _pick(dice, PEOPLE, n, len(TREES))
    side = _side(dice, n)
    inner, outer = _limit(road, side, 0) + 0.3, torch.maximum(_limit(road, side, 1), _limit(road, side, 0) + 0.9)
    walking = inner + (outer - inner) * dice.uniform(n)
    crossing = dice.chance(n, probability=0.15)
    z = torch.where(crossing, _far(dice, n, 9.0, 50.0), _far(dice, n, 5.0, 45.0))
    off = torch.where(crossing, road.half_B[:, None] * dice.uniform(n, low=-1.0), walking)
    busy = dice.uniform(1) * torch.where(road.side_B2.gather(1, side) <= HOUSES, 0.9, 0.35)
    return kind, size, z, side, off, dice.uniform(n, high=2.0 * math.pi), dice.uniform(n) < busy


def _poles(dice: Dice, road: Road) -> _Row:
    n, first = STANDING, len(TREES) + len(PEOPLE)
    kind, size = _pick(dice, POLES, n, first)
    alike = dice.chance(1, probability=0.4) & (torch.arange(n, device=dice.device) < 4)
    kind = torch.where(alike, kind[:, :1], kind)
    size = torch.where(alike[..., None], draw_sizes(POLES, kind - first, dice.uniform(1, 3).expand(-1, n, -1)), size)
    side = torch.where(alike, _side(dice, 1), _side(dice, n))
    even = dice.uniform(1, low=5.0, high=25.0) + torch.arange(n, device=dice.device) * dice.uniform(
        1, low=12.0, high=30.0
    )
    z = torch.where(alike, even, _far(dice, n, 5.0, 60.0))
    names = [kind.name for kind in POLES]
    wide = torch.tensor([name in ("shelter", "hoarding", "signpost") for name in names], device=dice.device)[
        kind - first
    ]
    near = _limit(road, side, 0) + 0.35
    off = torch.where(
        wide, torch.maximum(_limit(road, side, 1), near) + 0.4 * size[..., 0] - 0.3, near + dice.uniform(n, high=0.7)
    )
    # Signs face the camera (or turn their backs), arms of lamps reach over the road.
    arm = torch.tensor([name in ("street lamp", "shelter") for name in names], device=dice.device)[kind - first]
    arms = torch.where(side == 1, 0.0, math.pi)
    yaw = torch.where(arm, arms, torch.where(dice.chance(n, probability=0.25), math.pi, 0.0))
    shelter = kind - first == names.index("shelter")
    yaw = torch.where(shelter, torch.where(side == 1, -0.5 * math.pi, 0.5 * math.pi), yaw)
    yaw = yaw + torch.where(arm, 0.05, 0.25) * dice.uniform(n, low=-1.0, high=1.0)
    return kind, size, z, side, off, yaw, dice.uniform(n) < 0.25 + 0.5 * dice.uniform(1)


def _gantry(dice: Dice, road: Road) -> _Row:
    first = len(TREES) + len(PEOPLE) + len(POLES)
    size = draw_sizes(GANTRY, torch.zeros_like(_side(dice, 1)), dice.uniform(1, 3))
    wide = 2.0 * road.limits_B23[..., 0].amax(-1, keepdim=True) + 1.2
    size = torch.cat((wide[..., None], size[..., 1:]), dim=-1)
    z = _far(dice, 1, 14.0, 60.0)
    kind = torch.full_like(size[..., 0], first).long()
    there = dice.chance(1, probability=0.09)
    zero = torch.zeros_like(z)
    return kind, size, z, kind * 0 + 1, zero, zero, there
