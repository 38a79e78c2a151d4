"""The world ``blocks``: plain solids scattered, stacked and floating in a bare room with pale or patterned walls.

One lamp, much ambient light, no shadows, a perfect camera. It shares the metric scale of ``rooms`` (room sizes, camera
height) but not its furniture, textures, light or camera: what a teacher of rooms sees here is out of its distribution,
yet not absurd.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kdcli.sources.sim.camera import choose_view
from kdcli.sources.sim.hashing import Dice
from kdcli.sources.sim.palette import choose, colours, pack
from kdcli.sources.sim.scene import BURIED, FACES, Geometry, Lighting, Scene, Solids, View

BOXES, ELLIPSOIDS, CYLINDERS = 8, 4, 5
SOLIDS = BOXES + ELLIPSOIDS + CYLINDERS
_VIEWS = 16


def blocks(keys_B: Tensor) -> Scene:
    """Draw one scene of loose solids for each key (B,)."""
    dice = Dice(keys_B)
    room = torch.stack(
        (dice.uniform(low=3.0, high=8.0), dice.uniform(low=2.3, high=2.9), dice.uniform(low=3.0, high=8.0)), dim=1
    )
    geometry = _scatter(dice, room)
    return Scene(
        keys_B=keys_B,
        geometry=geometry,
        materials_BMF=_materials(dice),
        decals=None,
        baseboard_B=torch.zeros_like(room[:, 0]),
        lighting=_lighting(dice, room),
        view=choose_view(geometry, _views(dice, room), _VIEWS, margin=0.3, floor=0.1, objects=0.12),
        photo=None,
    )


def _scatter(dice: Dice, room: Tensor) -> Geometry:
    """Place solids on the floor, on one another, or in the air; they may run into each other."""
    batch = len(room)
    is_ball = torch.arange(SOLIDS, device=room.device) // BOXES == 1
    is_ball = is_ball & (torch.arange(SOLIDS, device=room.device) < BOXES + ELLIPSOIDS)
    # Sizes spread evenly over their logarithm: many small solids, a few large ones.
    half = 0.5 * torch.exp(dice.uniform(SOLIDS, 3, low=math.log(0.15), high=math.log(1.1)))
    half = torch.lerp(half, half.mean(-1, keepdim=True), dice.uniform(SOLIDS, 1, low=0.0, high=0.9))
    spread = dice.uniform(SOLIDS, 2, low=-1.0, high=1.0)
    reach = half[..., 0::2].amax(-1)
    place = spread * (room[:, None, 0::2] * 0.5 - reach[..., None] * 1.2).clamp(min=0.1)
    bottom = torch.where(
        dice.chance(SOLIDS, probability=0.15), dice.uniform(SOLIDS, low=0.2, high=1.2), torch.zeros_like(reach)
    )
    # A stacked solid stands on the one half the list before it, which is a box or of another type.
    below = torch.roll(torch.arange(SOLIDS, device=room.device), SOLIDS // 2)
    stacked = dice.chance(SOLIDS, probability=0.3) & (torch.arange(SOLIDS, device=room.device) >= SOLIDS // 2)
    nudge = dice.uniform(SOLIDS, 2, low=-0.1, high=0.1)
    place = torch.where(stacked[..., None], place[:, below] + nudge, place)
    bottom = torch.where(stacked, bottom[:, below] + 2.0 * half[:, below, 1], bottom)
    # Solids through the ceiling would be odd: what does not fit goes back to the floor.
    bottom = torch.where(bottom + 2.0 * half[..., 1] > room[:, 1, None] - 0.1, 0.0, bottom)
    limit = (room[:, None, 0::2] * 0.5 - reach[..., None] * 1.05).clamp(min=0.05)
    place = torch.maximum(torch.minimum(place, limit), -limit)
    exists = dice.uniform(SOLIDS) < dice.uniform(1, low=0.2, high=0.55)
    center = torch.stack((place[..., 0], bottom + half[..., 1], place[..., 1]), dim=-1)
    center = torch.where(exists[..., None], center, torch.tensor((0.0, BURIED, 0.0), device=room.device))
    yaw = dice.uniform(SOLIDS, low=0.0, high=2.0 * math.pi)
    first, second = BOXES, BOXES + ELLIPSOIDS
    return Geometry(
        room_B3=room,
        pivot_BG3=center[:, :first],
        boxes=Solids(center=torch.zeros_like(center[:, :first, None]), half=half[:, :first, None], yaw=yaw[:, :first]),
        ellipsoids=Solids(center=center[:, first:second], half=half[:, first:second], yaw=yaw[:, first:second]),
        cylinders=Solids(center=center[:, second:], half=half[:, second:], yaw=yaw[:, second:]),
        ids_BP=torch.arange(1, SOLIDS + 1, device=room.device).expand(batch, -1),
    )


def _materials(dice: Dice) -> Tensor:
    """Draw plain pale walls and coloured solids, mostly flat, some striped or checkered; B x (SOLIDS + 6) x F."""
    count = SOLIDS + FACES
    shell = torch.arange(count, device=dice.device) >= SOLIDS
    pale = colours(dice, count, saturation=(0.0, 0.25), value=(0.55, 1.0))
    vivid = colours(dice, count, saturation=(0.1, 0.75), value=(0.3, 1.0))
    first = torch.where(shell[:, None], pale, vivid)
    second = first * colours(dice, count, saturation=(0.0, 0.3), value=(0.5, 1.0))
    cell = torch.exp(dice.uniform(count, low=math.log(0.15), high=math.log(0.6)))
    options = [
        pack(first, second),
        pack(first, second, cell_v=cell, checker=1.0),
        pack(first, second, cell_u=cell, checker=1.0),
        pack(first, second, cell_u=cell, cell_v=cell, checker=1.0),
    ]
    return choose(dice.weighted(count, weights=(0.7, 0.08, 0.08, 0.14)), options)


def _lighting(dice: Dice, room: Tensor) -> Lighting:
    """Draw much ambient light and one lamp below the ceiling; no shadows."""
    place = dice.uniform(1, 2, low=-0.3, high=0.3) * room[:, None, 0::2]
    height = (room[:, 1] - 0.15)[:, None]
    power = dice.uniform(1, 1, low=0.6, high=1.1)
    return Lighting(
        position_BL3=torch.stack((place[..., 0], height, place[..., 1]), dim=-1),
        colour_BL3=power.expand(-1, 1, 3),
        ambient_B3=dice.uniform(1, low=0.5, high=0.7).expand(-1, 3),
        falloff=0.3,
        shadows=False,
        corners=0.24,
    )


def _views(dice: Dice, room: Tensor) -> View:
    """Draw candidate views about as high as in rooms, with more pitch and roll; B * _VIEWS of them."""
    span = room[:, None, 0::2] * 0.5 - 0.35
    place = dice.uniform(_VIEWS, 2, low=-1.0, high=1.0) * span
    target = dice.uniform(_VIEWS, 2, low=-0.6, high=0.6) * span
    toward = target - place
    yaw = torch.atan2(toward[..., 0], toward[..., 1]) + dice.uniform(_VIEWS, low=-0.4, high=0.4)
    position = torch.stack((place[..., 0], dice.uniform(_VIEWS, low=1.3, high=1.8), place[..., 1]), dim=-1)
    degree = math.pi / 180.0
    return View(
        position_B3=position.flatten(0, 1),
        yaw_B=yaw.flatten(),
        pitch_B=dice.uniform(_VIEWS, low=-26.0 * degree, high=0.0 * degree).flatten(),
        roll_B=dice.uniform(_VIEWS, low=-4.0 * degree, high=4.0 * degree).flatten(),
        tan_half_B=dice.uniform(_VIEWS, low=27.5 * degree, high=32.5 * degree).tan().flatten(),
    )
