"""Where the objects of ``interiors`` are: furniture that does not overlap, things on it, things in the air."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kdcli.sources.sim.catalogue import FURNITURE
from kdcli.sources.sim.clutter import HANGING, SMALL, STANDING
from kdcli.sources.sim.hashing import Dice
from kdcli.sources.sim.kinds import Kind, Pieces, draw_sizes, object_sites
from kdcli.sources.sim.plan import ROOMS, pick_kinds
from kdcli.sources.sim.posed import turns

PIECES, ROUNDS, HUNG, ODD, THINGS = 8, 4, 1, 2, 10
"""Most pieces of furniture, standing and hanging things, things in the air, small things."""
LOOSE = STANDING + HANGING + SMALL
_PROPOSED, _PROPOSED_ROUNDS, _FLOOR_SITES = 16, 7, 6
_NAMES = [kind.name for kind in FURNITURE]


def _stretch(dice: Dice, count: int) -> Tensor:
    """Draw factors of sizes: some percent, now and then far more."""
    usual, odd = dice.uniform(count, 1, low=0.93, high=1.08), dice.uniform(count, 1, low=0.6, high=1.5)
    return torch.where(dice.chance(count, 1, probability=0.05), odd, usual)


def _flat(kinds: tuple[Kind, ...], kind: Tensor, size: Tensor, place: Tensor, yaw: Tensor, exists: Tensor) -> Pieces:
    level = torch.zeros_like(yaw)
    return Pieces(kinds=kinds, kind=kind, size=size, place=place, turn=turns(yaw, level, level), exists=exists)


def place_on_floor(
    dice: Dice, room: Tensor, room_kind: Tensor, built: tuple[Tensor, ...]
) -> tuple[Pieces, Tensor, Pieces]:
    """Propose more pieces than wanted and keep the first that overlap no earlier one and nothing built in.

    Returns furniture (K = PIECES), its yaw, and standing things (K = ROUNDS; numbers in LOOSE).
    """
    count = _PROPOSED + _PROPOSED_ROUNDS
    kind = torch.cat(
        (pick_kinds(dice, _PROPOSED, FURNITURE, room_kind), pick_kinds(dice, _PROPOSED_ROUNDS, STANDING, room_kind)),
        dim=1,
    )
    # In many rooms the first piece is a table and the next three are chairs around it.
    seated = dice.chance(1, probability=0.35)
    table, chair = _NAMES.index("table"), _NAMES.index("chair")
    first = torch.arange(count, device=room.device)
    kind = torch.where(seated & (first < 4), torch.where(first == 0, table, chair), kind)
    is_round = first >= _PROPOSED
    unit = dice.uniform(count, 3)
    size = torch.cat(
        (
            draw_sizes(FURNITURE, kind[:, :_PROPOSED], unit[:, :_PROPOSED]),
            draw_sizes(STANDING, kind[:, _PROPOSED:], unit[:, _PROPOSED:]),
        ),
        dim=1,
    ) * _stretch(dice, count)
    size = torch.minimum(size, (room[:, None] - 0.05) * torch.tensor((0.95, 1.0, 0.95), device=room.device))
    walls = [torch.tensor([k.wall for k in kinds], device=room.device) for kinds in (FURNITURE, STANDING)]
    at_wall = torch.cat((walls[0][kind[:, :_PROPOSED]], walls[1][kind[:, _PROPOSED:]]), dim=1)
    wall = dice.integer(count, count=4)
    askew = torch.where(at_wall, 0.02, torch.where(dice.chance(count, probability=0.5), 0.1, 1.5))
    askew = torch.where(first == 0, askew.clamp(max=0.3), askew)
    yaw = wall * (math.pi / 2) + askew * dice.uniform(count, low=-1.0, high=1.0)
    spread = dice.uniform(count, 2, low=-1.0, high=1.0)
    spread = torch.where(seated[..., None] & (first == 0)[:, None], spread * 0.5, spread)
    # Chairs: on three sides of the table, turned to it.
    side = first - 1 + dice.integer(1, count=4)
    chairs = seated & (first >= 1) & (first < 4)
    own = side * (math.pi / 2)
    along = torch.where((side % 2) == 0, size[:, :1, 2], size[:, :1, 0])
    away = 0.5 * (along + size[..., 2]) + dice.uniform(count, low=0.1, high=0.4)
    beside = dice.uniform(count, low=-0.15, high=0.15)
    around = yaw[:, :1] + own
    swing = dice.uniform(count, low=-0.35, high=0.35)
    yaw = torch.where(chairs, around + math.pi + swing * (dice.uniform(count) < 0.6), yaw)
    sin, cos = yaw.sin(), yaw.cos()
    reach_x = (cos.abs() * size[..., 0] + sin.abs() * size[..., 2]) * 0.5
    reach_z = (sin.abs() * size[..., 0] + cos.abs() * size[..., 2]) * 0.5
    free_x = (room[:, 0, None] * 0.5 - reach_x - 0.02).clamp(min=0.0)
    free_z = (room[:, 2, None] * 0.5 - reach_z - 0.02).clamp(min=0.0)
    x, z = free_x * spread[..., 0], free_z * spread[..., 1]
    x = torch.where(at_wall & (wall == 1), -free_x, torch.where(at_wall & (wall == 3), free_x, x))
    z = torch.where(at_wall & (wall == 0), -free_z, torch.where(at_wall & (wall == 2), free_z, z))
    x = torch.where(chairs, x[:, :1] + away * around.sin() + beside * around.cos(), x)
    z = torch.where(chairs, z[:, :1] + away * around.cos() - beside * around.sin(), z)
    narrow = (2.0 * reach_x > room[:, 0, None] - 0.04) | (2.0 * reach_z > room[:, 2, None] - 0.04)
    inside = (x.abs() <= free_x + 1e-4) & (z.abs() <= free_z + 1e-4) & ~narrow
    low, high = torch.tensor([r.pieces for r in ROOMS.values()], device=room.device)[room_kind].unbind(1)
    wanted = low + (dice.uniform() * (high - low + 1)).long().clamp(max=PIECES)
    keep = _apart(
        x, z, reach_x + 0.03, reach_z + 0.03, inside, is_round, (wanted, dice.integer(count=ROUNDS) + 1), built
    )
    lifted = dice.chance(count, probability=0.015) * dice.uniform(count, low=0.1, high=0.9)
    place = torch.stack((x, torch.minimum(lifted, (room[:, 1, None] - size[..., 1]).clamp(min=0.0)), z), dim=-1)

    def first_kept(part: slice, limit: int, kinds: tuple[Kind, ...]) -> tuple[Pieces, Tensor]:
        order = (~keep[:, part]).long().argsort(dim=1, stable=True)[:, :limit]
        three = order[..., None].expand(-1, -1, 3)
        turned = yaw[:, part].gather(1, order)
        return _flat(
            kinds,
            kind[:, part].gather(1, order),
            size[:, part].gather(1, three),
            place[:, part].gather(1, three),
            turned,
            keep[:, part].gather(1, order),
        ), turned

    furniture, turned = first_kept(slice(0, _PROPOSED), PIECES, FURNITURE)
    return furniture, turned, first_kept(slice(_PROPOSED, count), ROUNDS, LOOSE)[0]


def _apart(
    x: Tensor,
    z: Tensor,
    reach_x: Tensor,
    reach_z: Tensor,
    allowed: Tensor,
    is_round: Tensor,
    wanted: tuple[Tensor, Tensor],
    built: tuple[Tensor, ...],
) -> Tensor:
    """Return which pieces to keep so that no two kept plans overlap, at most ``wanted`` of each sort; B x K bool.

    Both sorts are served in turn, so that there is floor left for the second.
    """
    center, half, exists = built
    # Beams and lintels are overhead.
    low = exists & (center[..., 1] - half[..., 1] < 1.0)
    walled = (
        ((x[:, :, None] - center[:, None, :, 0]).abs() < reach_x[:, :, None] + half[:, None, :, 0])
        & ((z[:, :, None] - center[:, None, :, 2]).abs() < reach_z[:, :, None] + half[:, None, :, 2])
        & low[:, None]
    ).any(-1)
    clash = ((x[:, :, None] - x[:, None]).abs() < reach_x[:, :, None] + reach_x[:, None]) & (
        (z[:, :, None] - z[:, None]).abs() < reach_z[:, :, None] + reach_z[:, None]
    )
    allowed = allowed & ~walled
    keep = torch.zeros_like(allowed)
    turn = [*range(6), *range(_PROPOSED, _PROPOSED + 3), *range(6, _PROPOSED), *range(_PROPOSED + 3, x.shape[1])]
    for piece in turn:
        rounds = piece >= _PROPOSED
        full = (keep & (is_round == rounds)).sum(1) >= wanted[int(rounds)]
        fits = allowed[:, piece] & ~(clash[:, piece] & keep).any(1) & ~full
        keep = torch.cat((keep[:, :piece], fits[:, None], keep[:, piece + 1 :]), dim=1)
    return keep


def hang(dice: Dice, room: Tensor) -> Pieces:
    """Hang a lamp or a fan from the ceiling of some rooms (K = 1; numbers in LOOSE)."""
    kind = dice.weighted(HUNG, weights=tuple(k.weight for k in HANGING))
    size = draw_sizes(HANGING, kind, dice.uniform(HUNG, 3))
    # The higher the room, the longer the cord; heads pass below.
    size = torch.stack(
        (size[..., 0], torch.minimum(size[..., 1], (room[:, 1, None] - 1.8).clamp(min=0.3)), size[..., 2]), dim=-1
    )
    spot = dice.uniform(HUNG, 2, low=-0.25, high=0.25) * room[:, None, 0::2]
    place = torch.stack((spot[..., 0], room[:, 1, None] - size[..., 1] - 0.01, spot[..., 1]), dim=-1)
    exists = dice.chance(HUNG, probability=0.45)
    return _flat(LOOSE, kind + len(STANDING), size, place, dice.uniform(HUNG, high=math.pi), exists)


def place_in_air(dice: Dice, room: Tensor, probability: Tensor) -> Pieces:
    """Let things hang in the air in any pose, with a probability a scene (B x 1); K = ODD."""
    kind = (dice.uniform(ODD) * len(LOOSE)).long().clamp(max=len(LOOSE) - 1)
    size = draw_sizes(LOOSE, kind, dice.uniform(ODD, 3)) * dice.uniform(ODD, 1, low=0.5, high=1.2)
    size = size.clamp(max=1.3)
    pose = dice.uniform(ODD, 3, low=-math.pi, high=math.pi)
    spot = dice.uniform(ODD, 3, low=-0.4, high=0.4)
    place = torch.stack((spot[..., 0], 0.5 + spot[..., 1], spot[..., 2]), dim=-1) * room[:, None]
    exists = dice.uniform(ODD) < probability
    return Pieces(kinds=LOOSE, kind=kind, size=size, place=place, turn=turns(*pose.unbind(-1)), exists=exists)


def place_things(
    dice: Dice,
    room: Tensor,
    room_kind: Tensor,
    built: tuple[Tensor, ...],
    furniture: Pieces,
    yaw: Tensor,
    rounds: Pieces,
) -> Pieces:
    """Put small things on furniture and on free floor, each on a site of its own; K = THINGS."""
    sites = [object_sites(pieces) for pieces in (furniture, rounds)]
    # Sites turn with their furniture; those of round tables and of the floor are as deep as wide.
    turn = torch.cat((yaw, torch.zeros_like(yaw[:, : rounds.kind.shape[1]])), dim=1).repeat_interleave(
        sites[0][0].shape[1] // PIECES, dim=1
    )
    spot = dice.uniform(_FLOOR_SITES, 2, low=-0.92, high=0.92) * room[:, None, 0::2] * 0.5
    place = torch.stack((spot[..., 0], torch.zeros_like(spot[..., 0]), spot[..., 1]), dim=-1)
    free = torch.ones_like(spot[..., 0], dtype=torch.bool)
    for pieces in (furniture, rounds):
        reach = pieces.size[..., 0::2].square().sum(-1).sqrt() * 0.5
        near = (place[:, :, None, 0::2] - pieces.place[:, None, :, 0::2]).square().sum(-1).sqrt() < reach[:, None] + 0.1
        free = free & ~(near & pieces.exists[:, None]).any(-1)
    center, half, exists = built
    walled = ((place[:, :, None] - center[:, None]).abs() < half[:, None] + 0.25).all(-1) & exists[:, None]
    free = free & ~walled.any(-1)
    middle = torch.cat((*(s[0] for s in sites), place), dim=1)
    area = torch.cat((*(s[1] for s in sites), torch.full_like(spot, 0.25)), dim=1)
    gap = torch.cat((*(s[2] for s in sites), torch.full_like(spot[..., 0], 9.0)), dim=1)
    there = torch.cat((*(s[3] for s in sites), free), dim=1)
    turn = torch.cat((turn, torch.zeros_like(spot[..., 0])), dim=1)
    # Free sites first, in random order; some floor things nearly always.
    rank = dice.uniform(middle.shape[1])
    on_floor = torch.arange(middle.shape[1], device=room.device) >= middle.shape[1] - _FLOOR_SITES
    order = torch.where(there, torch.where(on_floor, rank * 1.5, rank), 2.0 + rank).argsort(dim=1, stable=True)[
        :, :THINGS
    ]
    exists = there.gather(1, order) & dice.chance(THINGS, probability=0.85)
    kind = pick_kinds(dice, THINGS, SMALL, room_kind)
    size = draw_sizes(SMALL, kind, dice.uniform(THINGS, 3)) * _stretch(dice, THINGS)
    height = torch.minimum(size[..., 1], gap.gather(1, order))
    size = torch.stack((size[..., 0], height, size[..., 2]), dim=-1)
    three = order[..., None].expand(-1, -1, 3)
    middle, area, turn = middle.gather(1, three), area.gather(1, three[..., :2]), turn.gather(1, order)
    slack = (area - 0.55 * size[..., 0::2]).clamp(min=0.0) * dice.uniform(THINGS, 2, low=-1.0, high=1.0)
    sin, cos = turn.sin(), turn.cos()
    shift = torch.stack(
        (cos * slack[..., 0] + sin * slack[..., 1], torch.zeros_like(sin), cos * slack[..., 1] - sin * slack[..., 0]),
        dim=-1,
    )
    # Some stand straight, some any way; on the floor all do that.
    loose = torch.where(dice.chance(THINGS, probability=0.3) | (order >= len(on_floor) - _FLOOR_SITES), math.pi, 0.25)
    return _flat(
        LOOSE,
        kind + len(STANDING) + len(HANGING),
        size,
        middle + shift,
        turn + loose * dice.uniform(THINGS, low=-1.0, high=1.0),
        exists,
    )
