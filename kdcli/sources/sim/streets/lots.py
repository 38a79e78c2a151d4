"""What stands on the plots along a street: buildings with roofs and annexes, hedges, walls and fences before them.

All of it belongs to the street: none of it is an object.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kdcli.sources.sim.hashing import Dice
from kdcli.sources.sim.posed import turns
from kdcli.sources.sim.scene import BURIED, Posed
from kdcli.sources.sim.streets.facades import draw_facades
from kdcli.sources.sim.streets.materials import NUMBER
from kdcli.sources.sim.streets.road import SIGNS, Road

PLOTS, MEMBERS, LOOKS = 7, 4, 4
"""Plots on each side; upright boxes on a plot (building, two annexes, boundary); materials of a plot."""
Range = tuple[float, float]
_BUILT = (0.96, 0.85, 0.1, 0.12, 0.7)
_FENCED = (0.12, 0.75, 0.4, 0.3, 0.6)
_FRONTAGE: tuple[Range, ...] = ((8.0, 18.0), (9.0, 19.0), (10.0, 22.0), (14.0, 30.0), (15.0, 34.0))
_SETBACK: tuple[Range, ...] = ((0.0, 1.5), (2.0, 8.0), (5.0, 22.0), (12.0, 50.0), (3.0, 18.0))
_GAP: tuple[Range, ...] = ((-6.0, 3.0), (1.0, 7.0), (2.0, 9.0), (2.0, 12.0), (2.0, 12.0))
_FLOORS: tuple[Range, ...] = ((2.6, 6.4), (1.0, 3.4), (1.0, 2.6), (1.0, 2.4), (1.0, 3.0))
_FLAT = (0.35, 0.15, 0.2, 0.2, 0.65)
_WALLS = (
    ("plaster", "colour plaster", "bricks", "old plaster", "stone", "concrete", "tiles"),
    ("plaster", "colour plaster", "bricks", "plaster", "old plaster", "boards", "stone"),
    ("plaster", "old plaster", "boards", "bricks", "stone"),
    ("plaster", "old plaster", "boards", "bricks", "stone"),
    ("concrete", "cladding", "cladding", "bricks", "tiles", "plaster"),
)
_ROOFS = ("red tiles", "red tiles", "slates", "slates", "sheet")
_BOUNDS = (
    ("hedge", "hedge", "leaves"),
    ("stone", "bricks", "plaster", "concrete"),
    ("boards", "bars"),
    ("steel", "sheet"),
)
_ANNEX = ("plaster", "colour plaster", "bricks", "boards", "sheet", "canvas", "concrete", "white plate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lots:
    """G = 2 * PLOTS plots of B scenes, left ones first.

    pivot_BG3, yaw_BG: their frames, z along the road. center, half: B x G x MEMBERS x 3, buried where there is none.
    roofs: B x G. number_BGL: materials (wall, roof, boundary, annex). panes_BGF: windows of the walls, see ``facades``.
    """

    pivot_BG3: Tensor
    yaw_BG: Tensor
    center: Tensor
    half: Tensor
    roofs: Posed
    number_BGL: Tensor
    panes_BGF: Tensor


def _between(unit: Tensor, ranges: tuple[Range, ...], which: Tensor) -> Tensor:
    low, high = torch.tensor(ranges, device=unit.device)[which].unbind(-1)
    return low + (high - low) * unit


def draw_lots(dice: Dice, road: Road, banked_B2: Tensor) -> Lots:
    """Draw the plots of streets; none are built on where there is a bank."""
    device, batch, plots = dice.device, len(road.half_B), 2 * PLOTS
    side = road.side_B2.repeat_interleave(PLOTS, dim=1)
    sign = torch.tensor(SIGNS, device=device).repeat_interleave(PLOTS)
    outer = road.limits_B23[..., 2].repeat_interleave(PLOTS, dim=1)
    frontage = _between(dice.uniform(plots), _FRONTAGE, side)
    end = frontage.view(batch, 2, PLOTS).cumsum(-1) + dice.uniform(2, 1, low=-3.0, high=6.0)
    middle = end.flatten(1) - 0.5 * frontage
    pivot_x, pivot_y, pivot_z, yaw = road.place(middle, sign * outer)
    # Building: a grid of windows fits its sides; see ``facades``.
    gap = _between(dice.uniform(2), _GAP, road.side_B2).repeat_interleave(PLOTS, dim=1)
    gap = (gap + dice.uniform(plots, low=-1.0, high=1.0)).clamp(min=0.0) * (gap > 0.0)
    width = (frontage - gap).clamp(min=4.0)
    wanted = dice.uniform(plots, low=1.3, high=3.0)
    cell = 0.5 * width / (0.5 * width / wanted).round().clamp(min=1.0)
    depth = 2.0 * cell * (0.5 * dice.uniform(plots, low=6.0, high=14.0) / cell).round().clamp(min=1.0)
    level = dice.uniform(plots, low=2.6, high=3.4)
    floors = _between(dice.uniform(2, 1), _FLOORS, road.side_B2[..., None]) + dice.uniform(2, PLOTS, low=-0.7, high=0.7)
    floors = floors.flatten(1).round().clamp(min=1.0)
    tall = floors * level + dice.uniform(plots, low=0.2, high=0.9)
    setback = _between(dice.uniform(2, 1), _SETBACK, road.side_B2[..., None]).expand(-1, -1, PLOTS).flatten(1)
    setback = setback + dice.uniform(plots, low=0.0, high=0.6) + 0.3 * (side > 0) * dice.uniform(plots, high=6.0)
    front = setback + 0.2
    built = dice.uniform(plots) < torch.tensor(_BUILT, device=device)[side]
    fenced = dice.uniform(2, 1).expand(-1, -1, PLOTS).flatten(1) < torch.tensor(_FENCED, device=device)[side]
    fenced = fenced & dice.chance(plots, probability=0.85)
    free = _free(road, middle, frontage) & ~banked_B2.repeat_interleave(PLOTS, dim=1)
    built = built & free & _beside(road, (pivot_x, pivot_z, yaw), sign, (front, front + depth), 0.5 * width)
    zero = torch.zeros_like(width)
    main = torch.stack((sign * (front + 0.5 * depth), 0.5 * tall, zero), dim=-1)
    main_half = torch.stack((0.5 * depth, 0.5 * tall, 0.5 * width), dim=-1)
    # The foot reaches two metres below the ground, which may slope.
    main = main - torch.tensor((0.0, 1.0, 0.0), device=device)
    main_half = main_half + torch.tensor((0.0, 1.0, 0.0), device=device)
    roofs, rise = _roofs(dice, (side, sign, built), (front, depth, width, tall), (pivot_x, pivot_y, pivot_z, yaw))
    annexes = [_annex(dice, sign, front, depth, width, tall, level, rise, spare=gap) for _ in range(2)]
    bound, bound_half, sort = _boundary(dice, road, sign, frontage)
    fenced = fenced & free & _beside(road, (pivot_x, pivot_z, yaw), sign, (zero + 0.1, zero + 0.5), 0.5 * frontage)
    center = torch.stack((main, annexes[0][0], annexes[1][0], bound), dim=2)
    half = torch.stack((main_half, annexes[0][1], annexes[1][1], bound_half), dim=2)
    there = torch.stack((built, built & annexes[0][2], built & annexes[1][2], fenced), dim=2)[..., None]
    number = _materials(dice, side, sort)
    shops = (side == 0) & dice.chance(plots, probability=0.5)
    return Lots(
        pivot_BG3=torch.stack((pivot_x, pivot_y, pivot_z), dim=-1),
        yaw_BG=yaw,
        center=torch.where(there, center, torch.tensor((0.0, BURIED, 0.0), device=device)),
        half=torch.where(there, half, 0.001),
        roofs=roofs,
        number_BGL=number,
        panes_BGF=draw_facades(dice, cell, level, floors, main_half[..., 1], shops),
    )


def _free(road: Road, middle: Tensor, frontage: Tensor) -> Tensor:
    """Return which plots do not lie where another road crosses."""
    low, high = road.ground.knots_BK[:, 1, None] - 2.0, road.ground.knots_BK[:, 2, None] + 2.0
    clear = (middle + 0.5 * frontage < low) | (middle - 0.5 * frontage > high)
    return clear | ~road.crossed_B[:, None]


def _beside(
    road: Road, frame: tuple[Tensor, Tensor, Tensor], sign: Tensor, reach: tuple[Tensor, Tensor], half_width: Tensor
) -> Tensor:
    """Return which rectangles beside the road keep off it where it turns.

    frame: x, z, yaw of plots; reach: nearest and farthest distance of the rectangle from the plot's origin.
    """
    x, z, yaw = frame
    clear = torch.ones_like(x, dtype=torch.bool)
    for out in reach:
        for along in (-1.0, 0.0, 1.0):
            dx, dz = sign * out, along * half_width
            off = road.off(x + yaw.cos() * dx + yaw.sin() * dz, z + yaw.cos() * dz - yaw.sin() * dx)
            clear = clear & (off * sign > road.half_B[:, None] + 0.8)
    return clear


def _roofs(
    dice: Dice,
    about: tuple[Tensor, Tensor, Tensor],
    size: tuple[Tensor, Tensor, Tensor, Tensor],
    frame: tuple[Tensor, Tensor, Tensor, Tensor],
) -> tuple[Posed, Tensor]:
    """Draw roofs: flat with a rim, with a ridge along or across the road, hipped. Also how high they rise."""
    (side, sign, built), (front, depth, width, tall), (x, y, z, yaw) = about, size, frame
    plots, device = 2 * PLOTS, dice.device
    flat = dice.uniform(plots) < torch.tensor(_FLAT, device=device)[side]
    # Houses in a row have roofs of one form.
    form = dice.weighted(2, weights=(0.55, 0.2, 0.25)).repeat_interleave(PLOTS, dim=1)
    form = torch.where(dice.chance(plots, probability=0.2), dice.integer(plots, count=3), form)
    taper = torch.tensor(((1.0, 0.0), (0.0, 1.0), (0.92, 0.55)), device=device)[form]
    span = torch.where(form == 1, width, depth)
    rise = torch.where(flat, dice.uniform(plots, low=0.15, high=0.5), span * dice.uniform(plots, low=0.22, high=0.5))
    over = torch.where(flat, dice.uniform(plots, high=0.25), dice.uniform(plots, low=0.15, high=0.6))
    off = sign * (front + 0.5 * depth)
    center = torch.stack((x + yaw.cos() * off, y + tall + 0.5 * rise, z - yaw.sin() * off), dim=-1)
    half = torch.stack((0.5 * depth + over, 0.5 * rise, 0.5 * width + 0.4 * over), dim=-1)
    buried = torch.tensor((0.0, BURIED, 0.0), device=device)
    level = torch.zeros_like(yaw)
    return Posed(
        center=torch.where(built[..., None], center, buried),
        half=torch.where(built[..., None], half, 0.001),
        turn=turns(yaw, level, level),
        taper=torch.where(flat[..., None], 0.0, taper),
    ), rise


def _annex(
    dice: Dice,
    sign: Tensor,
    front: Tensor,
    depth: Tensor,
    width: Tensor,
    tall: Tensor,
    level: Tensor,
    rise: Tensor,
    *,
    spare: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw nothing, a chimney, a garage beside the house, a porch, an awning, a row of balconies or a dormer."""
    plots = 2 * PLOTS
    draw = dice.uniform(plots, 5)

    def between(slot: int, low: float, high: float) -> Tensor:
        return low + (high - low) * draw[..., slot]

    out = between(0, 0.8, 1.8)
    aside = between(1, -0.35, 0.35) * width
    share = between(2, 0.15, 0.4) * width
    garage = torch.minimum(between(3, 2.2, 3.6), (spare * 0.9).clamp(min=0.1))
    nook = torch.where(draw[..., 4] < 0.5, -0.5, 0.5) * (width + garage)
    wide, under = 0.6 * share, torch.full_like(level, -1.0)
    inner, back = front + 0.4 * depth, front + 0.2 * depth
    # from and to: outwards from the plot's origin, up, along the road.
    rows = (
        (front, front + 0.01, level, level + 0.01, aside, aside + 0.01),
        (inner, inner + 0.6, tall, tall + rise * 0.9 + 0.7, aside, aside + between(2, 0.5, 1.4)),
        (back, back + 5.5, under, between(0, 2.3, 2.9), nook - 0.5 * garage, nook + 0.5 * garage),
        (front - out, front + 0.1, under, torch.minimum(level * 1.1, tall), aside - wide, aside + wide),
        (front - out, front + 0.1, level - 0.35, level - between(3, 0.05, 0.25), aside - share, aside + share),
        (front - 0.7 * out, front + 0.1, level + 0.0, level + between(3, 0.9, 1.1), aside - share, aside + share),
        (front + 0.5, front + 0.45 * depth, tall, tall + rise * between(3, 0.5, 0.8), aside - wide, aside + wide),
    )
    ends = torch.stack([torch.stack(row, dim=-1) for row in rows], dim=2)
    which = dice.weighted(plots, weights=(0.25, 0.2, 0.12, 0.13, 0.1, 0.1, 0.1))
    ends = ends.gather(2, which[..., None, None].expand(-1, -1, 1, 6))[:, :, 0]
    low, high = ends[..., 0::2], ends[..., 1::2]
    turn = torch.stack((sign, torch.ones_like(sign), torch.ones_like(sign)), dim=-1)
    return 0.5 * (low + high) * turn, (0.5 * (high - low)).clamp(min=0.005), which > 0


def _boundary(dice: Dice, road: Road, sign: Tensor, frontage: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Draw hedges, walls, fences and rails at the outer limit of the road; also which of them each is."""
    plots = 2 * PLOTS
    rural = (road.side_B2 == 2) | (road.side_B2 == 3)
    one = torch.where(
        rural, dice.weighted(2, weights=(0.3, 0.25, 0.15, 0.3)), dice.weighted(2, weights=(0.42, 0.28, 0.28, 0.02))
    )
    sort = torch.where(
        dice.chance(plots, probability=0.3), dice.integer(plots, count=3), one.repeat_interleave(PLOTS, dim=1)
    )
    low, high, thin, thick = torch.tensor(
        ((0.8, 2.4, 0.6, 1.2), (0.5, 2.4, 0.2, 0.4), (0.8, 1.9, 0.05, 0.1), (0.3, 0.4, 0.06, 0.1)), device=dice.device
    )[sort].unbind(-1)
    one = dice.uniform(2, 1).expand(-1, -1, PLOTS).flatten(1)
    tall = low + (high - low) * (0.75 * one + 0.25 * dice.uniform(plots))
    wide = thin + (thick - thin) * dice.uniform(plots)
    gate = dice.uniform(plots, low=-1.0, high=3.5).clamp(min=0.0)
    lift = torch.where(sort == 3, 0.4, -0.4)
    shift = 0.5 * gate * torch.where(dice.chance(plots, probability=0.5), -1.0, 1.0)
    center = torch.stack((sign * (0.2 + 0.5 * wide), 0.5 * (tall + lift), shift), dim=-1)
    half = torch.stack((0.5 * wide, 0.5 * (tall - lift).abs().clamp(min=0.2), 0.5 * (frontage - gate)), dim=-1)
    rail = torch.tensor((0.0, 0.25, 0.0), device=dice.device) * (sort == 3)[..., None]
    return center + rail, half, sort


def _materials(dice: Dice, side: Tensor, sort: Tensor) -> Tensor:
    """Draw materials of plots, B x G x LOOKS numbers: wall, roof, boundary, annex."""
    device, plots = dice.device, 2 * PLOTS

    def table(rows: tuple[tuple[str, ...], ...]) -> Tensor:
        return torch.tensor([[NUMBER[row[i % len(row)]] for i in range(42)] for row in rows], device=device)

    def pick(rows: tuple[tuple[str, ...], ...], which: Tensor, draw: Tensor) -> Tensor:
        return table(rows)[which].gather(2, draw[..., None])[..., 0]

    wall = pick(_WALLS, side, dice.integer(plots, count=42))
    like = dice.integer(2, count=42).repeat_interleave(PLOTS, dim=1)
    own = dice.integer(plots, count=42)
    roof = pick((_ROOFS,), torch.zeros_like(side), torch.where(dice.chance(plots, probability=0.3), own, like))
    bound = pick(_BOUNDS, sort, torch.where(dice.chance(plots, probability=0.15), own, like))
    annex = pick((_ANNEX,), torch.zeros_like(side), dice.integer(plots, count=42))
    annex = torch.where(dice.chance(plots, probability=0.5), wall, annex)
    return torch.stack((wall, roof, bound, annex), dim=-1)
