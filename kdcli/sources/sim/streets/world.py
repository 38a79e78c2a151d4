"""The world ``streets``: roads in towns and in the country, seen by a camera on a car.

As in ``interiors``, colours, light and cameras vary beyond what one city has. ``docs/simulator.md`` has the ranges.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kdcli.sources.sim.assembling import draw_looks, take
from kdcli.sources.sim.hashing import Dice
from kdcli.sources.sim.materials import draw_materials
from kdcli.sources.sim.scene import BURIED, Photo, Scene, View
from kdcli.sources.sim.streets.daylight import draw_daylight
from kdcli.sources.sim.streets.lots import draw_lots
from kdcli.sources.sim.streets.markings import draw_markings
from kdcli.sources.sim.streets.materials import MATERIALS, NUMBER
from kdcli.sources.sim.streets.paint import Street
from kdcli.sources.sim.streets.planting import draw_things
from kdcli.sources.sim.streets.road import Road, draw_road
from kdcli.sources.sim.streets.solids import collect
from kdcli.sources.sim.streets.traffic import draw_traffic
from kdcli.sources.sim.streets.walks import draw_walks

_DEGREE = math.pi / 180.0
_GROUNDS = (
    # strip beside the carriageway, pavement, verge, beyond: in a town, among houses, in the green, in fields, at works
    (("asphalt", "asphalt", "cobbles", "brick paving"), ("slabs", "slabs", "asphalt", "brick paving", "concrete road"),
     ("slabs", "cobbles", "grass"), ("slabs", "brick paving", "asphalt", "gravel")),
    (("asphalt", "asphalt", "cobbles", "patched asphalt"), ("slabs", "brick paving", "asphalt", "concrete road"),
     ("grass", "grass", "slabs", "gravel"), ("grass", "grass", "rough grass", "gravel", "brick paving")),
    (("asphalt", "gravel", "patched asphalt"), ("asphalt", "gravel", "dry grass", "grass"),
     ("grass", "dry grass", "rough grass"), ("rough grass", "dry grass", "soil", "grass")),
    (("asphalt", "gravel", "patched asphalt"), ("grass", "dry grass", "gravel"), ("grass", "dry grass", "rough grass"),
     ("field", "field", "dry grass", "soil", "grass")),
    (("asphalt", "patched asphalt", "concrete road"), ("slabs", "concrete road", "asphalt"),
     ("grass", "dry grass", "gravel"), ("gravel", "concrete road", "asphalt", "rough grass")),
)  # fmt: skip
_CARRIAGEWAYS = ("asphalt", "asphalt", "asphalt", "patched asphalt", "patched asphalt", "concrete road", "cobbles")


def streets(keys_B: Tensor) -> Scene:
    """Draw one street for each key (B,)."""
    dice = Dice(keys_B)
    road = draw_road(dice)
    walks, rise = draw_walks(dice, road)
    lots = draw_lots(dice, road, rise > 0.0)
    vehicles = draw_traffic(dice, road)
    things = draw_things(dice, road, rise)
    geometry, index, panes, casters = collect(road, walks, lots, vehicles, things)
    looks = [draw_looks(dice, p.kinds, p.kind, NUMBER).flatten(1) for p in (vehicles, things)]
    number = torch.cat((*looks, lots.number_BGL.flatten(1), _grounds(dice, road)), dim=1)
    rows, finish = draw_materials(dice, number, torch.zeros_like(number, dtype=torch.bool), MATERIALS)
    yaw = torch.atan2(vehicles.turn[..., 2, 0], vehicles.turn[..., 2, 2])
    below = torch.where(vehicles.exists[..., None], vehicles.place, BURIED)
    half = 0.5 * vehicles.size[..., 0::2]
    return Scene(
        keys_B=keys_B,
        geometry=geometry,
        materials_BMF=take(rows, index),
        decals=None,
        baseboard_B=torch.zeros_like(road.half_B),
        lighting=None,
        view=_view(dice, road),
        photo=_photo(dice),
        finish_BMF=take(finish, index),
        outdoors=Street(
            road=road,
            marks=draw_markings(dice, road),
            daylight=draw_daylight(dice, casters, (below, yaw, half)),
            panes_BPF=panes,
            kerb_B=torch.where(dice.chance(probability=0.6), dice.uniform(low=0.3, high=0.75), 0.0),
            tracks_B=dice.uniform(low=0.0, high=0.16),
        ),
    )


def _grounds(dice: Dice, road: Road) -> Tensor:
    """Draw materials of the ground, B x ZONES numbers."""
    numbers = [[[NUMBER[row[i % len(row)]] for i in range(60)] for row in side] for side in _GROUNDS]
    table = torch.tensor(numbers, device=dice.device)[road.side_B2]
    draw = dice.integer(1, 4, 1, count=60), dice.integer(2, 4, 1, count=60)
    # Both sides of a street are often alike.
    alike = dice.chance(1, 1, 1, probability=0.6)
    beside = table.gather(3, torch.where(alike, draw[0].expand(-1, 2, -1, -1), draw[1]))[..., 0]
    way = torch.tensor([NUMBER[name] for name in _CARRIAGEWAYS], device=dice.device)
    return torch.cat((way[dice.integer(1, count=len(_CARRIAGEWAYS))], beside.flatten(1)), dim=1)


def _view(dice: Dice, road: Road) -> View:
    """Draw the camera: in its lane, at a car's height, looking along the road and a little down."""
    usual = dice.chance(probability=0.75)
    height = torch.where(usual, dice.uniform(low=1.55, high=1.72), dice.uniform(low=1.25, high=2.1))
    off = road.own_B + dice.uniform(low=-0.35, high=0.35)
    odd = dice.chance(probability=0.12)
    yaw = torch.where(odd, dice.uniform(low=-16.0, high=16.0), dice.uniform(low=-3.0, high=3.0))
    pitch = dice.uniform(2, low=-2.1, high=-0.1).mean(-1) + torch.where(odd, dice.uniform(low=-3.0, high=2.0), 0.0)
    # A quarter of half the height: 29 degrees from top to bottom, as wide pictures of such cameras have.
    tall = dice.uniform(2, low=0.235, high=0.29).mean(-1)
    return View(
        position_B3=torch.stack((off, height, torch.zeros_like(off)), dim=1),
        yaw_B=yaw * _DEGREE,
        pitch_B=pitch * _DEGREE,
        roll_B=dice.uniform(2, low=-1.2, high=1.2).mean(-1) * _DEGREE,
        tan_half_B=tall,
        least_aspect=2.0,
    )


def _photo(dice: Dice) -> Photo:
    """Draw exposure, white balance, vignetting, blur and noise; bad photographs among them."""
    bad = dice.chance(probability=0.1)
    cast = torch.where(bad[:, None], 0.2, 0.08)
    return Photo(
        exposure_B=torch.where(bad, dice.uniform(low=0.06, high=0.55), dice.uniform(low=0.17, high=0.38)),
        balance_B3=1.0 + cast * dice.uniform(3, low=-1.0, high=1.0),
        vignette_B=dice.uniform(low=0.0, high=0.3),
        blur_B=torch.where(bad, dice.uniform(low=0.1, high=1.0), dice.uniform(low=0.2, high=0.55)),
        noise_B=torch.where(bad, dice.uniform(low=0.0, high=0.05), dice.uniform(low=0.002, high=0.015)),
        curve_B=dice.uniform(low=0.42, high=0.68),
    )
