"""All solids of a street in one geometry: its objects and what stands on its plots, their materials and windows."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from kdcli.sources.sim.assembling import first_of, fitting, placed, take, together
from kdcli.sources.sim.kinds import BOX, LOOKS, TAPERED, Kind, Loose, Pieces, frame_boxes, loose_parts, part
from kdcli.sources.sim.scene import BURIED, FACES, Geometry, Posed, Solids, Standing
from kdcli.sources.sim.streets import lots as plots
from kdcli.sources.sim.streets import planting, traffic
from kdcli.sources.sim.streets.catalogue import THING_PARTS, VEHICLE_BOXES, VEHICLE_PARTS, VEHICLES
from kdcli.sources.sim.streets.facades import PANES
from kdcli.sources.sim.streets.lots import Lots
from kdcli.sources.sim.streets.paint import ZONES
from kdcli.sources.sim.streets.road import Road
from kdcli.sources.sim.streets.traffic import wheels
from kdcli.sources.sim.streets.walks import PIECES

TILTED, TURNED, CABINS, UPRIGHT, BALLS = 10, 20, 9, 22, 46
"""Tilted boxes, turned and tapered solids, standing ones and balls that objects of a scene have room for."""
_WHEELED = 8
"""The nearest vehicles have wheels."""
OBJECTS = traffic.COUNT + planting.COUNT
_PLOTS = 2 * plots.PLOTS
_ROOM = (2e4, 2e3, 2e4)


def collect(
    road: Road, walks: Posed, lots: Lots, vehicles: Pieces, things: Pieces
) -> tuple[Geometry, Tensor, Tensor, Geometry]:
    """Collect all solids. Also which drawn material each surface has, the windows of solids, and what casts shadows."""
    device, batch = walks.center.device, len(walks.center)
    center, half, exists, look = frame_boxes(vehicles, VEHICLE_BOXES)
    center = torch.where(exists[..., None], center, torch.tensor((0.0, BURIED, 0.0), device=device))
    half = torch.where(exists[..., None], half, 0.001)
    slots = [
        wheels(vehicles, _WHEELED, 1),
        loose_parts(vehicles, upright=False, first_owner=1, slots=VEHICLE_PARTS),
        loose_parts(things, upright=True, first_owner=1 + traffic.COUNT, slots=THING_PARTS),
    ]
    sort = _sorts(slots)
    limits = (TILTED, TURNED, CABINS, UPRIGHT, BALLS)
    fits = fitting(slots, sort, limits, OBJECTS)
    picked = [first_of(fits & (sort == kind), limit) for kind, limit in enumerate(limits)]
    where = [placed(slots, order, there) for order, there in picked]
    turn = [together(slots, "turn").gather(1, o[..., None, None].expand(-1, -1, 3, 3)) for o, _ in picked]
    profile, taper = together(slots, "profile"), together(slots, "taper")
    owner = [together(slots, "owner").gather(1, order) for order, _ in picked]
    looks = [together(slots, "look").gather(1, order) for order, _ in picked]
    tilted = Posed(
        center=torch.cat((walks.center, where[0][0]), dim=1),
        half=torch.cat((walks.half, where[0][1]), dim=1),
        turn=torch.cat((walks.turn, turn[0]), dim=1),
    )
    turned = Posed(center=where[1][0], half=where[1][1], turn=turn[1], profile=take(profile, picked[1][0]))
    narrowing = lots.roofs.taper
    assert narrowing is not None
    tapered = Posed(
        center=torch.cat((lots.roofs.center, where[2][0]), dim=1),
        half=torch.cat((lots.roofs.half, where[2][1]), dim=1),
        turn=torch.cat((lots.roofs.turn, turn[2]), dim=1),
        taper=torch.cat((narrowing, take(taper, picked[2][0])), dim=1),
    )
    standing, balls = (
        Standing(
            center=where[kind][0],
            half=where[kind][1],
            profile=take(profile, picked[kind][0]),
            ragged=_levels(where[kind][0], together(slots, "ragged").gather(1, picked[kind][0])),
        )
        for kind in (3, 4)
    )
    nought = walks.center[:, :0]
    empty = Solids(center=nought, half=nought, yaw=nought[..., 0])
    yaw = torch.atan2(vehicles.turn[..., 2, 0], vehicles.turn[..., 2, 2])
    none = torch.zeros((batch, _PLOTS * plots.MEMBERS), dtype=torch.int64, device=device)
    own = torch.arange(1, traffic.COUNT + 1, device=device).repeat_interleave(VEHICLE_BOXES).expand(batch, -1)
    paved, roofed = none[:, : 2 * PIECES], none[:, :_PLOTS]
    ids = torch.cat((none, own, paved, owner[0], owner[1], roofed, *owner[2:]), dim=1)
    geometry = Geometry(
        room_B3=torch.tensor(_ROOM, device=device).expand(batch, 3),
        pivot_BG3=torch.cat((lots.pivot_BG3, vehicles.place), dim=1),
        boxes=Solids(
            center=torch.cat((lots.center, center), dim=1),
            half=torch.cat((lots.half, half), dim=1),
            yaw=torch.cat((lots.yaw_BG, yaw), dim=1),
        ),
        ellipsoids=empty,
        cylinders=empty,
        ids_BP=ids,
        tilted=tilted,
        turned=turned,
        tapered=tapered,
        standing=standing,
        balls=balls,
        ground=road.ground,
        sparse=True,
    )
    index = _materials(geometry, owner, looks, look)
    return geometry, index, _panes(lots, vehicles, half, where[2][1], owner[2]), _casters(geometry, lots, vehicles)


def _sorts(slots: list[Loose]) -> Tensor:
    """Return which pool parts belong to: 0 tilted boxes, 1 turned, 2 tapered, 3 standing solids, 4 balls; B x N."""
    shape, turn = together(slots, "shape"), together(slots, "turn")
    # Solids of revolution that stand upright and are as deep as wide need no turn.
    half = together(slots, "half")
    upright = (turn[..., 1, 1] > 0.9999) & ((half[..., 0] - half[..., 2]).abs() < 1e-3)
    ball = together(slots, "profile")[..., 0] == 1.0
    sort = torch.where(upright, torch.where(ball, 4, 3), 1)
    return torch.where(shape == BOX, 0, torch.where(shape == TAPERED, 2, sort))


def _levels(center: Tensor, ragged: Tensor) -> Tensor:
    """Share out how ragged solids are among the ripple fields: large ripples for near ones; B x S x L."""
    far = (center[..., 2].clamp(5.0, 150.0) / 8.0).log() * 0.75
    middle = torch.arange(3, device=center.device)
    weight = (1.3 - (far[..., None] - middle).abs()).clamp(min=0.0)
    # Finer ones too, or the outlines of near crowns are round.
    weight = weight + 0.35 * (middle > far[..., None])
    return ragged[..., None] * weight / weight.sum(-1, keepdim=True).clamp(min=0.3)


def _materials(geometry: Geometry, owner: list[Tensor], looks: list[Tensor], box_look: Tensor) -> Tensor:
    """Return which drawn material each solid, shell face and zone of the ground has."""
    device, batch = box_look.device, len(box_look)
    first_lot = OBJECTS * LOOKS
    first_ground = first_lot + _PLOTS * plots.LOOKS
    lot = first_lot + torch.arange(_PLOTS, device=device)[:, None] * plots.LOOKS
    # Building, two annexes, boundary.
    members = (lot + torch.tensor((0, 3, 3, 2), device=device)).flatten().expand(batch, -1)
    own = torch.arange(traffic.COUNT, device=device)[:, None] * LOOKS
    pools = [(o - 1) * LOOKS + look for o, look in zip(owner, looks, strict=True)]
    pavement = first_ground + torch.tensor((2, 6), device=device)
    beside = torch.cat((pavement, pavement + 2)).repeat_interleave(PIECES).view(2, -1)
    outdoors = geometry.tilted
    assert outdoors is not None
    # Banks are of what is beyond, pavements of their own.
    leans = (outdoors.turn[:, : 2 * PIECES, 0, 1].abs() > 0.08).long()
    walks = beside[0] + leans * (beside[1] - beside[0])
    ground = torch.arange(first_ground, first_ground + ZONES, device=device).expand(batch, -1)
    faces = ground[:, :1].expand(-1, FACES)
    roofs = (lot[:, 0] + 1).expand(batch, -1)
    vehicles = (own + box_look).flatten(1)
    return torch.cat((members, vehicles, walks, pools[0], pools[1], roofs, *pools[2:], faces, ground), dim=1)


def _panes(lots: Lots, vehicles: Pieces, box_half: Tensor, cabin_half: Tensor, cabin_owner: Tensor) -> Tensor:
    """Return the windows of all solids, B x P x F: of buildings, of cabins, and of the boxes of lorries and buses."""
    batch, width = len(box_half), len(PANES)
    members = torch.zeros((batch, _PLOTS, plots.MEMBERS, width), device=box_half.device)
    members[:, :, 0] = lots.panes_BGF
    names = [kind.name for kind in VEHICLES]
    # Which box has windows, and between which shares of its height; a bus has a row of them.
    rows = [
        {"bus": (0.0, 0.42, 0.9, 1.4), "lorry": (2.0, 0.45, 0.9, 1000.0)}.get(name, (9.0, 0.0, 0.0, 1.0))
        for name in names
    ]
    table = torch.tensor(rows, device=box_half.device)[vehicles.kind]
    which, low, high, cell = table[:, :, None].unbind(-1)
    there = which == torch.arange(VEHICLE_BOXES, device=box_half.device)
    box = _glass(box_half[..., 1], low.expand_as(there), high.expand_as(there), cell.expand_as(there), there)
    cabin = _glass(cabin_half[..., 1], torch.tensor(0.1), torch.tensor(0.86), torch.tensor(1000.0), cabin_owner > 0)
    solids = (2 * PIECES + TILTED + TURNED + _PLOTS, UPRIGHT + BALLS)
    blank = [torch.zeros((batch, count, width), device=box_half.device) for count in solids]
    return torch.cat((members.flatten(1, 2), box.flatten(1, 2), blank[0], cabin, blank[1]), dim=1)


def _glass(half_height: Tensor, low: Tensor, high: Tensor, cell: Tensor, there: Tensor) -> Tensor:
    """Return one row of windows around a solid."""
    tall = 2.0 * half_height
    nought, one = torch.zeros_like(tall), torch.ones_like(tall)
    wide = torch.where(cell.to(tall.device) > 100.0, 0.6, 0.46) * one
    columns = {
        "cell_u": cell.to(tall.device) * one,
        "cell_v": tall.clamp(min=0.1),
        "half_u": wide,
        "low_v": low.to(tall.device) * one,
        "high_v": high.to(tall.device) * one,
        "foot": half_height,
        "ground": nought,
        "shop_u": nought,
        "rim": nought,
        "bright": nought,
        "floors": torch.where(there, one, nought),
        "salt": nought,
    }
    return torch.stack([columns[name] for name in PANES], dim=-1)


def _casters(geometry: Geometry, lots: Lots, vehicles: Pieces) -> Geometry:
    """Return what casts shadows, of fewer and plainer solids: buildings, boundaries, vehicles, crowns of trees.

    Half of a roof's height is added to its building.
    """
    boxes, nought = geometry.boxes, geometry.room_B3[:, None][:, :0]
    assert geometry.balls is not None
    rise = lots.roofs.half[..., 1:2] * torch.tensor((0.0, 0.5, 0.0), device=nought.device)
    buildings = lots.center[:, :, 0] + rise, lots.half[:, :, 0] + rise
    fences = lots.center[:, :, 3], lots.half[:, :, 3]
    plain = replace(vehicles, kinds=tuple(_plain(kind) for kind in VEHICLES))
    center, half, exists, _ = frame_boxes(plain, 2)
    center = torch.where(exists[..., None], center, torch.tensor((0.0, BURIED, 0.0), device=nought.device))
    return Geometry(
        room_B3=geometry.room_B3,
        pivot_BG3=geometry.pivot_BG3,
        boxes=Solids(
            center=torch.cat((torch.stack((buildings[0], fences[0]), dim=2), center), dim=1),
            half=torch.cat((torch.stack((buildings[1], fences[1]), dim=2), half), dim=1),
            yaw=boxes.yaw,
        ),
        ellipsoids=Solids(center=nought, half=nought, yaw=nought[..., 0]),
        cylinders=Solids(center=nought, half=nought, yaw=nought[..., 0]),
        ids_BP=geometry.ids_BP[:, :0],
        balls=geometry.balls,
        sparse=True,
    )


def _plain(kind: Kind) -> Kind:
    """Return a vehicle of two boxes: all of it up to its bonnet, and what is higher."""
    tops = [p.fraction for p in kind.parts if p.fraction[3] >= 0.97]
    y0, z0, z1 = tops[0][2], tops[0][4], tops[0][5]
    lost = next((p.taper[1] for p in kind.parts if p.shape == "taper"), 0.0) * 0.25 * (z1 - z0)
    low = max(y0, 0.3)
    upper = part("box", (-0.44, 0.44, low, 0.99, z0 + lost, z1 - lost))
    wide = 0.1 if kind.low[0] < 0.6 else 0.48
    return replace(kind, parts=(part("box", (-wide, wide, 0.1, low + 0.02, -0.48, 0.49)), upper))
