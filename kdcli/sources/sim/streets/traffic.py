"""Vehicles of a street: driving, parked, crossing; and the glass and wheels that they have."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kdcli.sources.sim.hashing import Dice
from kdcli.sources.sim.kinds import TURNED, Loose, Pieces, draw_sizes
from kdcli.sources.sim.posed import PROFILES, turns
from kdcli.sources.sim.streets.catalogue import AXLES, VEHICLES
from kdcli.sources.sim.streets.road import Road

DRIVING, MEETING, PARKED, OTHER = 2, 3, 3, 2
"""Most vehicles ahead in the camera's lane, in the next one of the other direction, parked on each side, elsewhere."""
COUNT = DRIVING + MEETING + 2 * PARKED + OTHER
_NAMES = [kind.name for kind in VEHICLES]
_SMALL = {"bicycle", "motorcycle"}
_LARGE = {"lorry", "bus"}


def draw_traffic(dice: Dice, road: Road) -> Pieces:
    """Draw vehicles (K = COUNT), nearest first."""
    device, batch = dice.device, len(road.half_B)
    kind = dice.weighted(COUNT, weights=tuple(k.weight for k in VEHICLES))
    first = torch.arange(COUNT, device=device)
    parked = (first >= DRIVING + MEETING) & (first < COUNT - OTHER)
    odd = torch.tensor([name in _SMALL | _LARGE for name in _NAMES], device=device)[kind]
    car = dice.weighted(COUNT, weights=(3.0, 2.0, 2.0, 1.3, 0.8))
    kind = torch.where(parked & odd & ~dice.chance(COUNT, probability=0.12), car, kind)
    size = draw_sizes(VEHICLES, kind, dice.uniform(COUNT, 3)) * dice.uniform(COUNT, 1, low=0.97, high=1.04)
    length = size[..., 2]

    def row(part: slice, begin: Tensor, gap: Tensor) -> Tensor:
        """Return the middles of vehicles one behind the other."""
        own = length[:, part]
        return begin[:, None] + (own + gap).cumsum(1) - 0.5 * own

    ahead = row(slice(0, DRIVING), _skewed(dice, 6.0, 45.0), dice.uniform(DRIVING, low=6.0, high=30.0))
    meeting = row(
        slice(DRIVING, DRIVING + MEETING), dice.uniform(low=-3.0, high=35.0), dice.uniform(MEETING, low=5.0, high=32.0)
    )
    sides = []
    for side in range(2):
        begin = DRIVING + MEETING + side * PARKED
        gap = dice.uniform(PARKED, low=0.7, high=4.0)
        sides.append(row(slice(begin, begin + PARKED), dice.uniform(low=0.0, high=26.0), gap))
    other = dice.uniform(OTHER, low=9.0, high=75.0)
    z = torch.cat((ahead, meeting, *sides, other), dim=1)
    # Parked: on their strip, or half on the pavement where there is none and the camera gets past.
    strip = road.limits_B23[..., 0]
    edge = torch.where(road.parking_B2, strip - 1.05, road.half_B[:, None] - 0.5) * torch.tensor(
        (-1.0, 1.0), device=device
    )
    clear = (edge - road.own_B[:, None]).abs() > 2.3
    way = torch.where(road.own_B >= 0.0, 1.0, -1.0)[:, None]
    roadside = dice.weighted(OTHER, weights=(0.4, 0.6))
    beyond = torch.where(dice.chance(OTHER, probability=0.5), 1.0, -1.0)
    outer = road.limits_B23[..., 2].amax(-1, keepdim=True)
    yard = beyond * (outer + dice.uniform(OTHER, low=3.0, high=9.0))
    off = torch.cat(
        (
            road.own_B[:, None].expand(-1, DRIVING),
            road.oncoming_B[:, None].expand(-1, MEETING),
            edge[:, :1].expand(-1, PARKED),
            edge[:, 1:].expand(-1, PARKED),
            yard,
        ),
        dim=1,
    ) + dice.uniform(COUNT, low=-0.2, high=0.2)
    x, y, at, yaw = road.place(z, off)
    # Driving vehicles face along their lane, parked ones mostly too.
    back = torch.where(dice.chance(COUNT, probability=0.25) & parked, math.pi, 0.0)
    against = torch.where(torch.arange(COUNT, device=device) < DRIVING, 0.0, math.pi).expand_as(yaw)
    against = torch.where(parked, torch.where(off * way > 0.0, 0.0, math.pi) + back, against)
    yaw = yaw + against + dice.uniform(COUNT, low=-0.03, high=0.03)
    # Where a road crosses, one vehicle may be on it; others stand in yards, turned any way.
    elsewhere = first >= COUNT - OTHER
    crossing = (
        elsewhere & road.crossed_B[:, None] & (torch.cat((first.new_zeros(batch, COUNT - OTHER), roadside), 1) == 1)
    )
    middle = 0.5 * (road.ground.knots_BK[:, 1] + road.ground.knots_BK[:, 2])[:, None]
    lane = torch.where(dice.chance(COUNT, probability=0.5), 1.0, -1.0)
    x = torch.where(crossing, dice.uniform(COUNT, low=-16.0, high=16.0), x)
    at = torch.where(crossing, middle + 1.6 * lane * way, at)
    yaw = torch.where(
        crossing, 0.5 * math.pi * lane, torch.where(elsewhere, dice.uniform(COUNT, high=2 * math.pi), yaw)
    )
    y = road.ground.at(at)
    busy = dice.uniform(4)
    full = torch.stack(
        (
            busy[:, 0] * 0.75,
            torch.where(road.lanes_B == 1, 0.0, busy[:, 1] * 0.8),
            torch.where(clear[:, 0], 1.6 * busy[:, 2] - 0.35, 0.0),
            torch.where(clear[:, 1], 1.6 * busy[:, 3] - 0.35, 0.0),
            torch.full_like(busy[:, 0], 0.35),
        ),
        dim=1,
    )
    owner = [0] * DRIVING + [1] * MEETING + [2] * PARKED + [3] * PARKED + [4] * OTHER
    exists = dice.uniform(COUNT) < full[:, torch.tensor(owner, device=device)]
    free = (at < road.ground.knots_BK[:, 1, None] - 4.0) | (at > road.ground.knots_BK[:, 2, None] + 4.0)
    exists = exists & (free | crossing | (first < DRIVING + MEETING) | ~road.crossed_B[:, None])
    # Nothing stands where the camera is, and nothing in the other lane is cut by the picture's lower corner.
    exists = exists & (at - 0.5 * length > 3.2) & _apart(x, at, size, yaw, exists)
    order = torch.where(exists, at, 1e3).argsort(dim=1, stable=True)
    three = order[..., None].expand(-1, -1, 3)
    level = torch.zeros_like(yaw)
    return Pieces(
        kinds=VEHICLES,
        kind=kind.gather(1, order),
        size=size.gather(1, three),
        place=torch.stack((x, y, at), dim=-1).gather(1, three),
        turn=turns(yaw, level, level).gather(1, order[..., None, None].expand(-1, -1, 3, 3)),
        exists=exists.gather(1, order),
    )


def _skewed(dice: Dice, low: float, high: float) -> Tensor:
    """Draw metres, near ones more often."""
    return low * (high / low) ** dice.uniform()


def _apart(x: Tensor, z: Tensor, size: Tensor, yaw: Tensor, exists: Tensor) -> Tensor:
    """Return which vehicles overlap no earlier one, by circles about them and by their boxes along the road."""
    reach_x = 0.5 * (yaw.cos().abs() * size[..., 0] + yaw.sin().abs() * size[..., 2]) + 0.1
    reach_z = 0.5 * (yaw.cos().abs() * size[..., 2] + yaw.sin().abs() * size[..., 0]) + 0.2
    clash = ((x[:, :, None] - x[:, None]).abs() < reach_x[:, :, None] + reach_x[:, None]) & (
        (z[:, :, None] - z[:, None]).abs() < reach_z[:, :, None] + reach_z[:, None]
    )
    earlier = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).tril(-1)
    return ~(clash & earlier & exists[:, None]).any(-1)


def wheels(traffic: Pieces, nearest: int, first_owner: int) -> Loose:
    """Return the axles of the nearest vehicles, two each, as cans that stand out of the body by a little."""
    device = traffic.kind.device
    table = torch.tensor([AXLES[name] for name in _NAMES], device=device)[traffic.kind[:, :nearest]]
    size, place, turn = traffic.size[:, :nearest], traffic.place[:, :nearest], traffic.turn[:, :nearest]
    front, radius = table[..., :2] * size[..., 2:], table[..., 2]
    batch = len(radius)
    # A bicycle's wheel is thin, and so is a motorcycle's.
    thin = torch.tensor([name in _SMALL for name in _NAMES], device=device)[traffic.kind[:, :nearest]]
    reach = torch.where(thin, torch.where(radius > 0.33, 0.02, 0.07), 0.5 * size[..., 0] + 0.012)
    center = place[:, :, None] + front[..., None] * turn[:, :, None, 2]
    center = center + torch.stack((torch.zeros_like(radius), radius, torch.zeros_like(radius)), dim=-1)[:, :, None]
    half = torch.stack((radius, reach, radius), dim=-1)[:, :, None].expand(-1, -1, 2, 3)
    # A can's own y axis is the vehicle's x axis.
    axes = torch.stack((-turn[:, :, 1], turn[:, :, 0], turn[:, :, 2]), dim=2)[:, :, None].expand(-1, -1, 2, 3, 3)
    count = (batch, 2 * nearest)
    owner = torch.arange(first_owner, first_owner + nearest, device=device).repeat_interleave(2).expand(count)
    return Loose(
        center=center.flatten(1, 2),
        half=half.flatten(1, 2),
        turn=axes.flatten(1, 2),
        profile=torch.tensor(PROFILES["can"], device=device).expand(*count, 3),
        shape=torch.full(count, TURNED, device=device),
        exists=traffic.exists[:, :nearest].repeat_interleave(2, dim=1),
        owner=owner,
        look=torch.ones(count, dtype=torch.int64, device=device),
        taper=torch.zeros((*count, 2), device=device),
        ragged=torch.zeros(count, device=device),
    )
