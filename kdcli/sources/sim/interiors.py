"""The world ``interiors``: rooms of many kinds, furnished from a catalogue, and stranger than real ones now and then.

Nothing in it is meant to look like one place: objects, materials, lamps and cameras vary beyond what is real, so that
a network that is taught on it meets more than it will meet later. ``docs/simulator.md`` has the ranges.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kdcli.sources.sim.assembling import draw_looks, first_of, fitting, placed, take, together
from kdcli.sources.sim.built import BUILT, build
from kdcli.sources.sim.camera import choose_view
from kdcli.sources.sim.hashing import Dice
from kdcli.sources.sim.kinds import FRAME_BOXES, LOOKS, Loose, Pieces, frame_boxes, loose_parts
from kdcli.sources.sim.lighting import draw_lamps
from kdcli.sources.sim.materials import NUMBER, draw_materials
from kdcli.sources.sim.mounted import mount
from kdcli.sources.sim.placing import (
    HUNG,
    LOOSE,
    ODD,
    PIECES,
    ROUNDS,
    THINGS,
    hang,
    place_in_air,
    place_on_floor,
    place_things,
)
from kdcli.sources.sim.plan import ROOMS, draw_rooms
from kdcli.sources.sim.scene import BURIED, FACES, Geometry, Photo, Posed, Scene, Solids, View

TILTED, TURNED = 12, 28
"""Tilted boxes and turned solids a scene has room for; objects that do not fit any more are left out whole."""
_LOOSE_OBJECTS = ROUNDS + HUNG + ODD + THINGS
OBJECTS = PIECES + _LOOSE_OBJECTS
_VIEWS = 16
_DEGREE = math.pi / 180.0


def interiors(keys_B: Tensor) -> Scene:
    """Draw one room for each key (B,)."""
    dice = Dice(keys_B)
    room_kind, room = draw_rooms(dice)
    wild = dice.chance(probability=0.12)
    built = build(dice, room)
    furniture, yaw, rounds = place_on_floor(dice, room, room_kind, built)
    hung = hang(dice, room)
    things = place_things(dice, room, room_kind, built, furniture, yaw, rounds)
    odd = place_in_air(dice, room, torch.where(wild, 0.6, 0.06)[:, None])
    loose = _join(rounds, hung, odd, things)
    geometry, owner, look = _geometry(room, built, furniture, yaw, loose)
    decals, decal_material = mount(dice, room, OBJECTS + 1)
    number = torch.cat([draw_looks(dice, p.kinds, p.kind, NUMBER) for p in (furniture, loose)], dim=1)
    strange = (wild[:, None] & dice.chance(OBJECTS, probability=0.5)) | dice.chance(OBJECTS, probability=0.05)
    shell = _shell(dice, room_kind)
    number = torch.cat((number.flatten(1), shell, decal_material), dim=1)
    strange = torch.cat(
        (
            strange.repeat_interleave(LOOKS, dim=1),
            (wild[:, None] & dice.chance(FACES, probability=0.3)),
            torch.zeros_like(decal_material, dtype=torch.bool),
        ),
        dim=1,
    )
    rows, finish = draw_materials(dice, number, strange)
    index = _material_index(owner, look, number.shape[1])
    view = choose_view(geometry, _views(dice, room), _VIEWS, margin=0.2, floor=0.1, objects=0.12)
    lowest = hung.place[:, 0] - torch.tensor((0.0, 0.06, 0.0), device=room.device)
    return Scene(
        keys_B=keys_B,
        geometry=geometry,
        materials_BMF=take(rows, index),
        decals=decals,
        baseboard_B=dice.uniform(low=-0.06, high=0.14),
        lighting=draw_lamps(dice, geometry, view, decals, (lowest, hung.exists[:, 0]), wild),
        view=view,
        photo=_photo(dice, wild),
        finish_BMF=take(finish, index),
    )


def _join(*parts: Pieces) -> Pieces:
    return Pieces(
        kinds=LOOSE,
        kind=torch.cat([p.kind for p in parts], dim=1),
        size=torch.cat([p.size for p in parts], dim=1),
        place=torch.cat([p.place for p in parts], dim=1),
        turn=torch.cat([p.turn for p in parts], dim=1),
        exists=torch.cat([p.exists for p in parts], dim=1),
    )


def _geometry(
    room: Tensor, built: tuple[Tensor, ...], furniture: Pieces, yaw: Tensor, loose: Pieces
) -> tuple[Geometry, Tensor, Tensor]:
    """Collect all solids; also the object (0 = of the room, B x P) and the look of each."""
    center, half, exists, look = frame_boxes(furniture)
    buried = torch.tensor((0.0, BURIED, 0.0), device=room.device)
    center = torch.cat((center, built[0][:, None]), dim=1)
    half = torch.cat((half, built[1][:, None]), dim=1)
    exists = torch.cat((exists, built[2][:, None]), dim=1)
    nought = torch.zeros_like(room[:, None])
    own = torch.arange(1, PIECES + 1, device=room.device).repeat_interleave(FRAME_BOXES).expand(len(room), -1)
    none = torch.zeros_like(own[:, :BUILT])
    slots = [
        loose_parts(furniture, upright=False, first_owner=1),
        loose_parts(loose, upright=True, first_owner=1 + PIECES),
    ]
    tilted, tilted_owner, tilted_look = _pool(slots, TILTED, boxes=True)
    turned, turned_owner, turned_look = _pool(slots, TURNED, boxes=False)
    empty = Solids(center=nought[:, :0], half=nought[:, :0], yaw=nought[:, :0, 0])
    ids = torch.cat((own, none, tilted_owner, turned_owner), dim=1)
    geometry = Geometry(
        room_B3=room,
        pivot_BG3=torch.cat((furniture.place, nought), dim=1),
        boxes=Solids(
            center=torch.where(exists[..., None], center, buried),
            half=torch.where(exists[..., None], half, 0.001),
            yaw=torch.cat((yaw, nought[..., 0]), dim=1),
        ),
        ellipsoids=empty,
        cylinders=empty,
        ids_BP=ids,
        tilted=tilted,
        turned=turned,
    )
    return geometry, ids, torch.cat((look.flatten(1), none, tilted_look, turned_look), dim=1)


def _pool(slots: list[Loose], room_for: int, *, boxes: bool) -> tuple[Posed, Tensor, Tensor]:
    """Gather the existing parts of one type from all slots into few solids."""
    box = together(slots, "box")
    fits = fitting(slots, (~box).long(), (TILTED, TURNED), OBJECTS)
    order, there = first_of(fits & (box if boxes else ~box), room_for)
    center, half = placed(slots, order, there)
    turn = together(slots, "turn").gather(1, order[..., None, None].expand(-1, -1, 3, 3))
    profile = None if boxes else take(together(slots, "profile"), order)
    posed = Posed(center=center, half=half, turn=turn, profile=profile)
    return posed, together(slots, "owner").gather(1, order), together(slots, "look").gather(1, order)


def _shell(dice: Dice, room_kind: Tensor) -> Tensor:
    """Draw materials of the shell's faces, B x 6 numbers: two walls of one material, sometimes others of another."""

    def choose(names: list[tuple[str, ...]], count: int) -> Tensor:
        rows = [[NUMBER[row[i % len(row)]] for i in range(12)] for row in names]
        return torch.tensor(rows, device=dice.device)[room_kind].gather(1, dice.integer(count, count=12))

    floor = choose([r.floors for r in ROOMS.values()], 1)
    walls = choose([r.walls for r in ROOMS.values()], 4)
    walls = torch.where(dice.chance(4, probability=0.15), walls, walls[:, :1])
    ceiling = choose([("ceiling", "ceiling", "ceiling", "ceiling", "panels", "plaster", "concrete")] * len(ROOMS), 1)
    return torch.cat((walls[:, :2], floor, ceiling, walls[:, 2:]), dim=1)


def _material_index(owner: Tensor, look: Tensor, drawn: int) -> Tensor:
    """Return which drawn material each solid, shell face and decal has."""
    first = OBJECTS * LOOKS
    # What is built in is of the first wall's material.
    solids = torch.where(owner > 0, (owner - 1) * LOOKS + look, first)
    rest = torch.arange(first, drawn, device=owner.device).expand(len(owner), -1)
    return torch.cat((solids, rest), dim=1)


def _views(dice: Dice, room: Tensor) -> View:
    """Draw candidate views of one camera: height, roll and field of view are its own; B * _VIEWS of them."""
    spread = dice.uniform(_VIEWS, 2, low=-1.0, high=1.0)
    spread = spread.sign() * spread.abs().sqrt()
    span = room[:, None, 0::2] * 0.5 - 0.3
    place = spread * span
    toward = dice.uniform(_VIEWS, 2, low=-0.6, high=0.6) * span - place
    yaw = torch.atan2(toward[..., 0], toward[..., 1]) + dice.uniform(_VIEWS, low=-0.35, high=0.35)
    # Most cameras are held at eye height, some lower or higher.
    usual = dice.chance(1, probability=0.7)
    height = torch.where(usual, dice.uniform(1, low=1.3, high=1.75), dice.uniform(1, low=0.7, high=2.1))
    roll = torch.where(
        dice.chance(1, probability=0.12), dice.uniform(1, low=-15.0, high=15.0), dice.uniform(1, low=-3.0, high=3.0)
    )
    # The mean of two draws: fields of view about the middle are commoner than the ends.
    angle = dice.uniform(1, 2, low=44.0, high=80.0).mean(-1) * (0.5 * _DEGREE)
    tilt = torch.where(usual, dice.uniform(_VIEWS, low=-26.0, high=2.0), dice.uniform(_VIEWS, low=-38.0, high=12.0))
    position = torch.stack(
        (place[..., 0], torch.minimum(height, room[:, 1, None] - 0.25).expand(-1, _VIEWS), place[..., 1]), dim=-1
    )
    return View(
        position_B3=position.flatten(0, 1),
        yaw_B=yaw.flatten(),
        pitch_B=(tilt * _DEGREE).flatten(),
        roll_B=(roll * _DEGREE).expand(-1, _VIEWS).flatten(),
        tan_half_B=angle.tan().expand(-1, _VIEWS).flatten(),
    )


def _photo(dice: Dice, wild: Tensor) -> Photo:
    """Draw exposure, white balance, vignetting, blur and noise; bad photographs among them."""
    bad = dice.chance(probability=0.15) | wild
    cast = torch.where(bad[:, None], 0.3, 0.1)
    return Photo(
        exposure_B=torch.where(bad, dice.uniform(low=0.06, high=0.6), dice.uniform(low=0.18, high=0.4)),
        balance_B3=1.0 + cast * dice.uniform(3, low=-1.0, high=1.0),
        vignette_B=dice.uniform(low=0.0, high=0.45),
        blur_B=torch.where(bad, dice.uniform(low=0.1, high=1.5), dice.uniform(low=0.25, high=0.65)),
        noise_B=torch.where(bad, dice.uniform(low=0.0, high=0.07), dice.uniform(low=0.003, high=0.02)),
    )
