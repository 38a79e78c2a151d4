"""Plans of ``interiors``: kinds of rooms, their sizes and what they favour, and what is built into them."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from kdcli.sources.sim.hashing import Dice
from kdcli.sources.sim.kinds import Kind

Range = tuple[float, float]
BUILT = 6
"""Boxes that are part of the room: pieces of wall, pillars, beams."""
_DEFAULT = 0.2
_DRY = ("planks", "parquet", "carpet", "oak", "planks")
_WET = ("tiles", "checker tiles", "terrazzo", "concrete")
_WALLS = ("plaster", "plaster", "colour wall", "striped wall", "flowered wall", "panels", "bricks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A kind of room: ranges of its shorter and longer side and height in metres; what it favours, as weights of
    object classes (others have a low one); how many pieces of furniture it has; materials of floor and walls."""

    width: Range
    length: Range
    height: Range = (2.3, 3.0)
    weight: float = 1.0
    favours: dict[str, float] = field(default_factory=dict)
    pieces: tuple[int, int] = (4, 8)
    floors: tuple[str, ...] = _DRY
    walls: tuple[str, ...] = _WALLS


ROOMS: dict[str, Room] = {
    "living room": Room(width=(3.0, 5.5), length=(3.5, 7.5), weight=2.0, favours={
        "sofa": 3, "armchair": 2, "low table": 2.5, "bookcase": 1.5, "shelf": 1, "screen stand": 1.5, "fireplace": 1,
        "piano": 0.7, "curtain": 0.8, "floor lamp": 2, "plant": 2, "palm": 1.5, "pouf": 1}),
    "bedroom": Room(width=(2.6, 4.5), length=(3.0, 5.5), weight=1.5, favours={
        "bed": 4, "wardrobe": 2, "drawers": 2, "armchair": 0.8, "curtain": 1, "chair": 0.8, "teddy": 2, "cushion": 2}),
    "dining room": Room(width=(3.0, 5.0), length=(3.5, 6.5), favours={
        "table": 3, "chair": 4, "drawers": 1, "shelf": 0.8, "bench": 1, "bowl": 2, "bottle": 3, "cup": 2, "vase": 2}),
    "kitchen": Room(width=(2.4, 4.0), length=(3.0, 5.5), weight=1.3, floors=_WET, favours={
        "kitchen counter": 5, "fridge": 2, "table": 1.5, "chair": 2, "shelf": 0.8, "bin": 2, "stool": 2, "bottle": 3, "cup": 3,
        "bowl": 3, "jug": 2, "fruit": 2}, walls=("plaster", "tiles", "colour wall", "tiles")),
    "office": Room(width=(2.8, 6.0), length=(3.5, 8.0), weight=1.3, favours={
        "desk": 4, "table": 1.5, "chair": 2, "bookcase": 2, "shelf": 1.5, "drawers": 1, "office chair": 4, "bin": 2, "monitor": 4,
        "laptop": 3, "stack of books": 2}, floors=("carpet", "planks", "concrete", "terrazzo")),
    "corridor": Room(width=(1.5, 2.3), length=(4.5, 9.0), weight=0.9, pieces=(2, 5), favours={
        "drawers": 1.5, "bench": 1.5, "shelf": 1, "wardrobe": 1, "radiator": 1, "crates": 1, "coat stand": 2, "plant": 2, "bin": 1}),
    "bathroom": Room(width=(2.0, 3.2), length=(2.6, 4.2), weight=0.7, pieces=(2, 5), floors=_WET, favours={
        "bathtub": 3, "toilet": 6, "drawers": 1.5, "shelf": 1, "radiator": 1, "stool": 2, "bottle": 4}, walls=("tiles", "tiles", "plaster")),
    "store": Room(width=(2.4, 6.0), length=(3.0, 8.0), height=(2.3, 3.6), weight=0.8, pieces=(5, 8), favours={
        "shelf": 4, "crates": 4, "bookcase": 0.5, "ladder": 3, "traffic cone": 3, "bin": 2, "box": 5, "roll": 3},
        floors=("concrete", "planks", "tiles"), walls=("plaster", "concrete", "bricks", "panels")),
    "play room": Room(width=(2.8, 5.0), length=(3.0, 6.0), weight=0.8, favours={
        "shelf": 2, "drawers": 1.5, "bed": 0.7, "crates": 2, "low table": 1, "big ball": 4, "beanbag": 3, "pouf": 2, "teddy": 5,
        "ball": 4, "pyramid": 3, "box": 2}),
    "hall": Room(width=(4.5, 7.0), length=(6.0, 9.0), height=(2.7, 3.8), weight=0.7, pieces=(5, 8), favours={
        "bench": 2, "sofa": 1.5, "table": 1, "armchair": 1.5, "piano": 1, "palm": 3, "plant": 2, "floor vase": 2, "figure": 3},
        floors=("marble", "parquet", "checker tiles", "terrazzo", "carpet")),
}


def draw_rooms(dice: Dice) -> tuple[Tensor, Tensor]:
    """Return the kind (B int64, number in ROOMS) and the extents (B x 3, metres) of rooms."""
    rooms = tuple(ROOMS.values())
    kind = dice.weighted(weights=tuple(r.weight for r in rooms))
    ranges = torch.tensor([(r.width, r.height, r.length) for r in rooms], device=dice.device)[kind]
    size = ranges[..., 0] + (ranges[..., 1] - ranges[..., 0]) * dice.uniform(3)
    return kind, torch.where(dice.chance(1, probability=0.5), size.flip(1), size)


def pick_kinds(dice: Dice, count: int, kinds: tuple[Kind, ...], room_kind_B: Tensor) -> Tensor:
    """Draw B x count classes of objects with the weights of each scene's room."""
    table = [[k.weight * room.favours.get(k.name, _DEFAULT) for k in kinds] for room in ROOMS.values()]
    weights = torch.tensor(table, device=dice.device)[room_kind_B]
    edges = (weights / weights.sum(1, keepdim=True)).cumsum(1)[:, None, :-1]
    return (dice.uniform(count)[..., None] >= edges).sum(-1)


def build(dice: Dice, room: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Draw what is built in: nothing, a corner cut off (L-shaped rooms), a niche, a wall with a doorway, pillars, beams
    or a low wall.

    Returns centre and half size, B x BUILT x 3 each, and existence (B x BUILT).
    """
    x, y, z = (room * torch.tensor((0.5, 1.0, 0.5), device=room.device)).unbind(1)
    draw = dice.uniform(8)

    def between(slot: int, low: float | Tensor, high: float | Tensor) -> Tensor:
        return low + (high - low) * draw[:, slot]

    nought, far = torch.zeros_like(x), torch.full_like(x, 1e-3)
    none = (far, far * 2, far, far * 2, far, far * 2)
    depth, left = between(0, 0.4, 1.0), between(1, -0.6, 0.1) * x
    right = left + between(2, 0.9, 2.2)
    lintel = torch.minimum(between(3, 1.9, 2.2), y - 0.1)
    wall = between(4, -0.3, 0.3) * z
    door = between(5, -0.7, 0.7) * (x - 0.6)
    thick, wide = between(6, 0.05, 0.12), between(7, 0.4, 0.6)
    pillar = between(0, 0.12, 0.3)
    px, pz = between(1, 0.2, 0.7) * x, between(2, -0.7, 0.7) * z
    drop, beam = between(3, 0.1, 0.3), between(4, 0.06, 0.14)
    low = between(5, 0.8, 1.2)
    options = [
        [none] * BUILT,
        [(x * between(0, 0.0, 0.6), x, nought, y, z * between(1, 0.0, 0.6), z), *[none] * 5],
        [(-x, left, nought, y, z - depth, z), (right, x, nought, y, z - depth, z), (left, right, lintel, y, z - depth, z),
         *[none] * 3],
        [(-x, door - wide, nought, y, wall - thick, wall + thick), (door + wide, x, nought, y, wall - thick, wall + thick),
         (door - wide, door + wide, lintel, y, wall - thick, wall + thick), *[none] * 3],
        [(px - pillar, px + pillar, nought, y, pz - pillar, pz + pillar),
         (-px - pillar, -px + pillar, nought, y, pz - pillar, pz + pillar), *[none] * 4],
        [(-x, x, y - drop, y, z * share - beam, z * share + beam) for share in (-0.75, -0.45, -0.15, 0.15, 0.45, 0.75)],
        [(x * between(6, -0.2, 0.5), x, nought, low, wall - thick, wall + thick), *[none] * 5],
    ]
    ends = torch.stack([torch.stack([torch.stack(box, dim=1) for box in option], dim=1) for option in options], dim=1)
    which = dice.weighted(weights=(0.36, 0.19, 0.11, 0.12, 0.08, 0.08, 0.06))
    ends = ends.gather(1, which[:, None, None, None].expand(-1, 1, BUILT, 6))[:, 0]
    turn = torch.where(dice.chance(2, probability=0.5), 1.0, -1.0)[:, None]
    first, second = ends[..., 0::2], ends[..., 1::2]
    half = (second - first) * 0.5
    exists = (half > 2e-3).all(-1)
    center = (first + second) * 0.5
    # Mirrored at random, so that corners and niches are on every side.
    center = torch.stack((center[..., 0] * turn[..., 0], center[..., 1], center[..., 2] * turn[..., 1]), dim=-1)
    return center, half.clamp(min=1e-3), exists
