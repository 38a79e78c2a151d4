"""Furnishing of ``rooms``: which pieces, where they stand, what they are made of."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kdcli.sources.sim.furniture import KINDS, PARTS, kind_in, parts, sizes, stands_at_wall
from kdcli.sources.sim.hashing import Dice
from kdcli.sources.sim.palette import choose, colours, pack
from kdcli.sources.sim.scene import BURIED, Geometry, Solids

PIECES = 7
_PROPOSED = 14
_TABLES = ("table", "desk", "low table")


def furnish(dice: Dice, room: Tensor) -> tuple[Geometry, Tensor]:
    """Place furniture: propose more pieces than wanted, keep the first ones that overlap no earlier one."""
    kind = dice.weighted(_PROPOSED, weights=tuple(k.weight for k in KINDS))
    size = sizes(kind, dice.uniform(_PROPOSED, 3))
    at_wall = stands_at_wall(kind)
    # Most pieces are parallel to the walls; some of the free ones stand askew.
    wall = dice.integer(_PROPOSED, count=4)
    askew = torch.where(at_wall, 0.02, torch.where(dice.chance(_PROPOSED, probability=0.5), 0.1, 0.7))
    yaw = wall * (math.pi / 2) + askew * dice.uniform(_PROPOSED, low=-1.0, high=1.0)
    sin, cos = yaw.sin(), yaw.cos()
    reach_x = (cos.abs() * size[..., 0] + sin.abs() * size[..., 2]) * 0.5
    reach_z = (sin.abs() * size[..., 0] + cos.abs() * size[..., 2]) * 0.5
    free_x = (room[:, 0, None] * 0.5 - reach_x - 0.02).clamp(min=0.0)
    free_z = (room[:, 2, None] * 0.5 - reach_z - 0.02).clamp(min=0.0)
    spread = dice.uniform(_PROPOSED, 2, low=-1.0, high=1.0)
    x, z = free_x * spread[..., 0] * 0.95, free_z * spread[..., 1] * 0.95
    x = torch.where(at_wall & (wall == 1), -free_x, torch.where(at_wall & (wall == 3), free_x, x))
    z = torch.where(at_wall & (wall == 0), -free_z, torch.where(at_wall & (wall == 2), free_z, z))
    keep = _apart(x, z, reach_x + 0.04, reach_z + 0.04, dice.integer(count=5) + 3)
    # Kept pieces first, in their order; what is not kept goes below the floor.
    order = (~keep).long().argsort(dim=1, stable=True)[:, :PIECES]

    def take(value: Tensor) -> Tensor:
        return value.gather(1, order.reshape(*order.shape, *(1,) * (value.dim() - 2)).expand(-1, -1, *value.shape[2:]))

    kind, size, yaw, keep = take(kind), take(size), take(yaw), take(keep)
    pivot = torch.stack((take(x), torch.zeros_like(yaw), take(z)), dim=-1)
    center, half, exists = parts(kind, size)
    exists = exists & keep[..., None]
    # Not every table carries a vase or a bowl.
    carries = dice.chance(PIECES, 2, probability=0.5) | ~kind_in(kind, *_TABLES)[..., None]
    exists = torch.cat((exists[..., :PARTS], exists[..., PARTS:] & carries), dim=-1)
    center = torch.where(exists[..., None], center, torch.tensor((0.0, BURIED, 0.0), device=room.device))
    half = torch.where(exists[..., None], half, 0.001)
    sin, cos = yaw.sin()[..., None], yaw.cos()[..., None]
    turned = torch.stack(
        (cos * center[..., 0] + sin * center[..., 2], center[..., 1], cos * center[..., 2] - sin * center[..., 0]), -1
    )
    world = turned + pivot[:, :, None]
    number = torch.arange(1, PIECES + 1, device=room.device).expand(len(room), -1)
    # What stands on a table is an object of its own; a plant's pot or a lamp's foot is not.
    extra = torch.where(kind_in(kind, *_TABLES), PIECES, 0)
    ids = (
        number.repeat_interleave(PARTS, dim=1),
        number + extra,
        number + 2 * extra,
    )
    geometry = Geometry(
        room_B3=room,
        pivot_BG3=pivot,
        boxes=Solids(center=center[:, :, :PARTS], half=half[:, :, :PARTS], yaw=yaw),
        ellipsoids=Solids(center=world[:, :, PARTS], half=half[:, :, PARTS], yaw=yaw),
        cylinders=Solids(center=world[:, :, PARTS + 1], half=half[:, :, PARTS + 1], yaw=yaw),
        ids_BP=torch.cat(ids, dim=1),
    )
    return geometry, kind


def _apart(x: Tensor, z: Tensor, reach_x: Tensor, reach_z: Tensor, wanted_B: Tensor) -> Tensor:
    """Return which pieces to keep so that no two kept footprints overlap, at most ``wanted_B`` of them; B x K bool."""
    clash = ((x[:, :, None] - x[:, None]).abs() < reach_x[:, :, None] + reach_x[:, None]) & (
        (z[:, :, None] - z[:, None]).abs() < reach_z[:, :, None] + reach_z[:, None]
    )
    kept = [torch.ones_like(clash[:, 0, 0])]
    for piece in range(1, x.shape[1]):
        earlier = torch.stack(kept, dim=1)
        taken = (clash[:, piece, :piece] & earlier).any(1)
        kept.append(~taken & (earlier.sum(1) < wanted_B))
    return torch.stack(kept, dim=1)


def furniture_materials(dice: Dice, kind: Tensor) -> Tensor:
    """Draw materials of the solids: one a piece, with parts of slightly different brightness; B x P x F."""
    count = PIECES
    wood = colours(dice, count, hue=(0.05, 0.11), saturation=(0.3, 0.65), value=(0.2, 0.75))
    paint = colours(dice, count, hue=(0.0, 1.0), saturation=(0.0, 0.15), value=(0.15, 0.9))
    cloth = colours(dice, count, hue=(0.0, 1.0), saturation=(0.2, 0.75), value=(0.2, 0.75))
    darker = dice.uniform(count, 1, low=0.5, high=0.8)
    options = [
        pack(wood, wood * darker, cell_u=1000.0, cell_v=0.06, checker=0.25, noise=0.25, grain=0.12, vary=0.15),
        pack(paint, paint * darker, noise=0.08, grain=0.2),
        pack(cloth, cloth * darker, noise=0.3, grain=0.05),
        pack(cloth, cloth * darker, cell_u=0.1, cell_v=0.1, checker=0.8, noise=0.1),
    ]
    # Beds, sofas and poufs are of cloth, the rest of wood or painted.
    soft = kind_in(kind, "bed", "sofa", "pouf")
    which = torch.where(
        soft, dice.weighted(count, weights=(0.0, 0.0, 0.8, 0.2)), dice.weighted(count, weights=(0.6, 0.35, 0.05, 0.0))
    )
    piece = choose(which, options)
    tint = dice.uniform(count, PARTS, 1, low=0.85, high=1.1)
    boxes = piece[:, :, None].expand(-1, -1, PARTS, -1).clone()
    boxes[..., :6] = boxes[..., :6] * tint
    # Pillows, mattresses: lighter than the bed.
    part = torch.arange(PARTS, device=kind.device)
    bedding = (kind_in(kind, "bed")[..., None] & ((part == 1) | (part == 3)))[..., None]
    boxes[..., :6] = torch.where(bedding, boxes[..., :6] * 0.25 + 0.7, boxes[..., :6])
    green = colours(dice, count, hue=(0.22, 0.38), saturation=(0.5, 0.8), value=(0.2, 0.5))
    bright = colours(dice, count, saturation=(0.3, 0.9), value=(0.4, 0.9))
    shade = colours(dice, count, hue=(0.08, 0.15), saturation=(0.05, 0.3), value=(0.8, 0.95))
    leaves = pack(green, green * 0.5, noise=1.0, grain=0.07)
    ball = pack(bright, 1.0 - bright, cell_u=0.11, cell_v=0.11, checker=0.7)
    rounds = torch.where(
        kind_in(kind, "plant")[..., None],
        leaves,
        torch.where(kind_in(kind, "lamp")[..., None], pack(shade, shade), ball),
    )
    pots = torch.where(
        kind_in(kind, "pouf")[..., None], piece, pack(bright * 0.8, bright * 0.5, cell_v=0.08, checker=0.3)
    )
    return torch.cat((boxes.flatten(1, 2), rounds, pots), dim=1)
