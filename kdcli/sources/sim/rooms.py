"""The world ``rooms``: furnished rooms of usual sizes, lit by a lamp, seen from eye height by a plain camera.

Metric scale can be read from the picture as in real rooms: the camera is at standing eye height, ceilings, doors,
furniture, tiles and planks have the sizes that they have in homes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kdcli.sources.sim.camera import choose_view
from kdcli.sources.sim.furniture import KINDS as FURNITURE
from kdcli.sources.sim.furniture import PARTS, parts, sizes, stands_at_wall
from kdcli.sources.sim.hashing import Dice
from kdcli.sources.sim.palette import choose, colours, pack
from kdcli.sources.sim.scene import BURIED, Decals, Geometry, Lighting, Photo, Scene, Solids, View

PIECES = 7
_PROPOSED = 14
_VIEWS = 16
_WALLS = (4, 0, 5, 1)
"""Shell face behind wall number w; walls face +z, +x, -z, -x."""


def rooms(keys_B: Tensor) -> Scene:
    """Draw one furnished room for each key (B,)."""
    dice = Dice(keys_B)
    room = torch.stack(
        (dice.uniform(low=3.0, high=6.3), dice.uniform(low=2.4, high=2.7), dice.uniform(low=3.0, high=6.3)), dim=1
    )
    geometry, kinds = _furnish(dice, room)
    decals, decal_materials = _decals(dice, room)
    materials = torch.cat((_furniture_materials(dice, kinds), _shell_materials(dice), decal_materials), dim=1)
    return Scene(
        keys_B=keys_B,
        geometry=geometry,
        materials_BMF=materials,
        decals=decals,
        baseboard_B=dice.uniform(low=0.07, high=0.1),
        lighting=_lighting(dice, room),
        view=choose_view(geometry, _views(dice, room), _VIEWS, margin=0.3, floor=0.14, objects=0.06),
        photo=_photo(dice),
    )


def _furnish(dice: Dice, room: Tensor) -> tuple[Geometry, Tensor]:
    """Place furniture: propose more pieces than wanted, keep the first ones that overlap no earlier one."""
    kind = dice.weighted(_PROPOSED, weights=tuple(k.weight for k in FURNITURE))
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
    carries = dice.chance(PIECES, 2, probability=0.5) | (kind > 2)[..., None]
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
    extra = torch.where(kind <= 2, PIECES, 0)
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


def _furniture_materials(dice: Dice, kind: Tensor) -> Tensor:
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
    soft = (kind == 5) | (kind == 6) | (kind == 9)
    which = torch.where(
        soft, dice.weighted(count, weights=(0.0, 0.0, 0.8, 0.2)), dice.weighted(count, weights=(0.6, 0.35, 0.05, 0.0))
    )
    piece = choose(which, options)
    tint = dice.uniform(count, PARTS, 1, low=0.85, high=1.1)
    boxes = piece[:, :, None].expand(-1, -1, PARTS, -1).clone()
    boxes[..., :6] = boxes[..., :6] * tint
    # Pillows, mattresses: lighter than the bed.
    part = torch.arange(PARTS, device=kind.device)
    bedding = ((kind == 5)[..., None] & ((part == 1) | (part == 3)))[..., None]
    boxes[..., :6] = torch.where(bedding, boxes[..., :6] * 0.25 + 0.7, boxes[..., :6])
    green = colours(dice, count, hue=(0.22, 0.38), saturation=(0.5, 0.8), value=(0.2, 0.5))
    bright = colours(dice, count, saturation=(0.3, 0.9), value=(0.4, 0.9))
    shade = colours(dice, count, hue=(0.08, 0.15), saturation=(0.05, 0.3), value=(0.8, 0.95))
    leaves = pack(green, green * 0.5, noise=1.0, grain=0.07)
    ball = pack(bright, 1.0 - bright, cell_u=0.11, cell_v=0.11, checker=0.7)
    rounds = torch.where((kind == 8)[..., None], leaves, torch.where((kind == 11)[..., None], pack(shade, shade), ball))
    pots = torch.where((kind == 9)[..., None], piece, pack(bright * 0.8, bright * 0.5, cell_v=0.08, checker=0.3))
    return torch.cat((boxes.flatten(1, 2), rounds, pots), dim=1)


def _shell_materials(dice: Dice) -> Tensor:
    """Draw walls, floor and ceiling, B x 6 x F, in the order of the shell's faces."""
    wood = colours(dice, 1, hue=(0.05, 0.11), saturation=(0.3, 0.65), value=(0.25, 0.8))
    stone = colours(dice, 1, hue=(0.0, 1.0), saturation=(0.0, 0.2), value=(0.3, 0.9))
    rug = colours(dice, 1, hue=(0.0, 1.0), saturation=(0.1, 0.5), value=(0.2, 0.65))
    dim = dice.uniform(1, 1, low=0.3, high=0.6)
    tile = torch.where(dice.chance(1, probability=0.5), 0.3, 0.45)
    grout = torch.where(dice.chance(1, 1, probability=0.5), stone * dim, stone * 0.3 + 0.6)
    plank = dice.uniform(1, low=0.12, high=0.18)
    floors = [
        pack(wood, wood * dim, cell_u=1.2, cell_v=plank, shift=1.0, vary=0.35, joint=0.01, line=1.0, noise=0.15),
        pack(stone, grout, cell_u=tile, cell_v=tile, vary=0.12, joint=0.012, line=1.0, noise=0.08),
        pack(stone, stone * dim, cell_u=tile, cell_v=tile, checker=0.9, noise=0.08),
        pack(rug, rug * dim, noise=0.3, grain=0.04),
    ]
    floor = choose(dice.weighted(1, weights=(3.0, 2.0, 1.2, 0.8)), floors)
    tint = colours(dice, 1, hue=(0.0, 1.0), saturation=(0.0, 0.3), value=(0.6, 0.95)).expand(-1, 4, -1)
    # One wall in some rooms has a colour of its own; baseboards are white, or dark wood.
    accent = colours(dice, 1, saturation=(0.2, 0.6), value=(0.4, 0.8)).expand(-1, 4, -1)
    is_accent = dice.chance(1, probability=0.4) & (torch.arange(4, device=dice.device) == dice.integer(1, count=4))
    tint = torch.where(is_accent[..., None], accent, tint)
    board = torch.where(dice.chance(1, 1, probability=0.6), torch.full_like(wood, 0.9), wood * 0.7).expand(-1, 4, -1)
    stripe = (tint * 0.82).clamp(max=1.0)
    walls = [
        pack(tint, board, noise=0.06, grain=0.5),
        pack(tint, stripe, cell_u=0.15, cell_v=1000.0, checker=0.6),
        pack(tint, tint * 0.7, cell_u=0.25, cell_v=0.08, shift=1.0, joint=0.012, line=0.9, vary=0.2, noise=0.1),
    ]
    wall = choose(dice.weighted(1, weights=(3.0, 0.8, 0.5)).expand(-1, 4), walls)
    white = dice.uniform(1, 1, low=0.82, high=0.95).expand(-1, 1, 3)
    ceiling = pack(white, white * 0.9, noise=0.03)
    return torch.cat((wall[:, :2], floor, ceiling, wall[:, 2:]), dim=1)


def _decals(dice: Dice, room: Tensor) -> tuple[Decals, Tensor]:
    """Draw a door, a window and paintings on the walls and a lamp on the ceiling."""
    device = room.device
    batch = len(room)
    # Wall by wall: door, painting or window, window, painting; turned by a random number of walls.
    turn = dice.integer(1, count=4)
    kinds = torch.tensor((0, 1, 2, 2, 1), device=device).expand(batch, -1)
    place = torch.tensor((0, 1, 2, 0, 3), device=device)
    second = torch.tensor((False, False, False, True, False), device=device)
    wall = (place + turn) % 4
    face = torch.tensor(_WALLS, device=device)[wall]
    kinds = torch.where((kinds != 0) & dice.chance(5, probability=0.3), 3 - kinds, kinds)
    is_door, is_window = kinds == 0, kinds == 1
    length = torch.where((wall % 2) == 1, room[:, 2, None], room[:, 0, None])
    half_u = 0.5 * torch.where(
        is_door,
        dice.uniform(5, low=0.8, high=0.95),
        torch.where(is_window, dice.uniform(5, low=1.0, high=1.6), dice.uniform(5, low=0.4, high=1.0)),
    )
    half_v = 0.5 * torch.where(
        is_door,
        dice.uniform(5, low=2.0, high=2.1),
        torch.where(is_window, dice.uniform(5, low=1.1, high=1.35), dice.uniform(5, low=0.35, high=0.8)),
    )
    center_v = torch.where(is_door, half_v, torch.where(is_window, 0.85 + half_v, 1.55))
    share = torch.where(second, 0.26, torch.where((place == 0), -0.22, 0.0)) + dice.uniform(5, low=-0.06, high=0.06)
    exists = is_door | dice.chance(5, probability=0.7)
    half_u = torch.where(exists, half_u, -1.0)
    frame = torch.where(is_door | is_window, 0.07, 0.04)
    leaf = colours(dice, 5, hue=(0.05, 0.1), saturation=(0.0, 0.6), value=(0.35, 0.95))
    sky = colours(dice, 5, hue=(0.5, 0.62), saturation=(0.05, 0.3), value=(0.9, 1.0)) * 1.5
    art = colours(dice, 5, saturation=(0.2, 0.9), value=(0.3, 0.9))
    other = colours(dice, 5, saturation=(0.0, 0.6), value=(0.1, 0.9))
    white = torch.full_like(sky, 0.9)
    material = choose(
        kinds,
        [
            pack(leaf, leaf * 0.75, cell_u=0.45, cell_v=1.0, joint=0.03, line=0.7),
            pack(sky, white, cell_u=0.55, cell_v=0.6, joint=0.05, line=1.0, noise=0.2, grain=0.5),
            pack(
                art,
                other,
                cell_u=dice.uniform(5, low=0.1, high=0.5),
                cell_v=dice.uniform(5, low=0.1, high=0.5),
                checker=0.5,
                noise=0.6,
                grain=0.15,
                vary=0.6,
            ),
        ],
    )
    # The ceiling lamp: a bright panel.
    lamp_center = (dice.uniform(1, 2, low=-0.15, high=0.15)) * room[:, None, 0::2]
    lamp_half = dice.uniform(1, 2, low=0.15, high=0.3)
    glow = torch.full_like(white[:, :1], 3.0)
    decals = Decals(
        face_BD=torch.cat((face, torch.full_like(face[:, :1], 3)), dim=1),
        center_BD2=torch.cat((torch.stack((share * length, center_v), dim=-1), lamp_center), dim=1),
        half_BD2=torch.cat((torch.stack((half_u, half_v), dim=-1), lamp_half), dim=1),
        frame_BD=torch.cat((frame, torch.zeros_like(frame[:, :1])), dim=1),
    )
    return decals, torch.cat((material, pack(glow, glow)), dim=1)


def _lighting(dice: Dice, room: Tensor) -> Lighting:
    """Draw a ceiling lamp that casts shadows, and a weaker light from the side that does not."""
    spread = dice.uniform(2, 3, low=-1.0, high=1.0) * torch.tensor(
        ((0.3, 0.0, 0.3), (0.42, 0.0, 0.42)), device=room.device
    )
    height = torch.stack((room[:, 1] - 0.12, dice.uniform(low=1.3, high=2.0)), dim=1)
    position = spread * room[:, None]
    position[..., 1] = height
    warm = colours(dice, 2, hue=(0.06, 0.14), saturation=(0.0, 0.25), value=(1.0, 1.0))
    power = torch.stack((dice.uniform(low=2.5, high=4.5), dice.uniform(low=0.0, high=1.2)), dim=1)
    ambient = dice.uniform(1, low=0.18, high=0.42).expand(-1, 3)
    return Lighting(
        position_BL3=position,
        colour_BL3=warm * power[..., None],
        ambient_B3=ambient,
        falloff=0.45,
        shadows=True,
        corners=0.35,
    )


def _views(dice: Dice, room: Tensor) -> View:
    """Draw candidate views: near the edge of the room, looking into it; B * _VIEWS of them."""
    spread = dice.uniform(_VIEWS, 2, low=-1.0, high=1.0)
    # The square root moves positions from the middle towards the walls, from where more of a room is seen.
    spread = spread.sign() * spread.abs().sqrt()
    span = room[:, None, 0::2] * 0.5 - 0.35
    place = spread * span
    target = dice.uniform(_VIEWS, 2, low=-0.55, high=0.55) * span
    toward = target - place
    yaw = torch.atan2(toward[..., 0], toward[..., 1]) + dice.uniform(_VIEWS, low=-0.3, high=0.3)
    height = dice.uniform(1, low=1.4, high=1.7).expand(-1, _VIEWS)
    position = torch.stack((place[..., 0], height, place[..., 1]), dim=-1)
    degree = math.pi / 180.0
    return View(
        position_B3=position.flatten(0, 1),
        yaw_B=yaw.flatten(),
        pitch_B=dice.uniform(_VIEWS, low=-19.0 * degree, high=-4.0 * degree).flatten(),
        roll_B=dice.uniform(_VIEWS, low=-2.0 * degree, high=2.0 * degree).flatten(),
        tan_half_B=(dice.uniform(1, low=27.5 * degree, high=32.5 * degree).tan()).expand(-1, _VIEWS).flatten(),
    )


def _photo(dice: Dice) -> Photo:
    """Draw exposure, white balance, vignetting, blur and noise."""
    return Photo(
        exposure_B=dice.uniform(low=0.18, high=0.38),
        balance_B3=dice.uniform(3, low=0.93, high=1.07),
        vignette_B=dice.uniform(low=0.0, high=0.3),
        blur_B=dice.uniform(low=0.3, high=0.6),
        noise_B=dice.uniform(low=0.004, high=0.02),
    )
