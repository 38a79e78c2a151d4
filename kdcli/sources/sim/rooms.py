"""The world ``rooms``: furnished rooms of usual sizes, lit by a lamp, seen from eye height by a plain camera.

Metric scale can be read from the picture as in real rooms: the camera is at standing eye height, ceilings, doors,
furniture, tiles and planks have the sizes that they have in homes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kdcli.sources.sim.camera import choose_view
from kdcli.sources.sim.furnishing import furnish, furniture_materials
from kdcli.sources.sim.hashing import Dice
from kdcli.sources.sim.palette import choose, colours, pack
from kdcli.sources.sim.scene import Decals, Lighting, Photo, Scene, View

_VIEWS = 16
_WALLS = (4, 0, 5, 1)
"""Shell face behind wall number w; walls face +z, +x, -z, -x."""


def rooms(keys_B: Tensor) -> Scene:
    """Draw one furnished room for each key (B,)."""
    dice = Dice(keys_B)
    room = torch.stack(
        (dice.uniform(low=3.0, high=8.0), dice.uniform(low=2.4, high=2.7), dice.uniform(low=3.0, high=8.0)), dim=1
    )
    geometry, kinds = furnish(dice, room)
    decals, decal_materials = _decals(dice, room)
    materials = torch.cat((furniture_materials(dice, kinds), _shell_materials(dice), decal_materials), dim=1)
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
        pitch_B=dice.uniform(_VIEWS, low=-24.0 * degree, high=-3.0 * degree).flatten(),
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
