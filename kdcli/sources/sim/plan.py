"""Kinds of rooms of ``interiors``: their sizes, what they favour, what floors and walls are of."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from kdcli.sources.sim.hashing import Dice
from kdcli.sources.sim.kinds import Kind

Range = tuple[float, float]
_DEFAULT = 0.2
_LONGEST = 9.2
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
    "living room": Room(
        width=(3.0, 5.5),
        length=(3.5, 7.5),
        weight=2.0,
        favours={
            "sofa": 3,
            "armchair": 2,
            "low table": 2.5,
            "bookcase": 1.5,
            "shelf": 1,
            "screen stand": 1.5,
            "fireplace": 1,
            "piano": 0.7,
            "curtain": 0.8,
            "floor lamp": 2,
            "plant": 2,
            "palm": 1.5,
            "pouf": 1,
        },
    ),
    "bedroom": Room(
        width=(2.6, 4.5),
        length=(3.0, 5.5),
        weight=1.5,
        favours={
            "bed": 4,
            "wardrobe": 2,
            "drawers": 2,
            "armchair": 0.8,
            "curtain": 1,
            "chair": 0.8,
            "teddy": 2,
            "cushion": 2,
        },
    ),
    "dining room": Room(
        width=(3.0, 5.0),
        length=(3.5, 6.5),
        favours={
            "table": 3,
            "chair": 4,
            "drawers": 1,
            "shelf": 0.8,
            "bench": 1,
            "bowl": 2,
            "bottle": 3,
            "cup": 2,
            "vase": 2,
        },
    ),
    "kitchen": Room(
        width=(2.4, 4.0),
        length=(3.0, 5.5),
        weight=1.3,
        floors=_WET,
        favours={
            "kitchen counter": 5,
            "fridge": 2,
            "table": 1.5,
            "chair": 2,
            "shelf": 0.8,
            "bin": 2,
            "stool": 2,
            "bottle": 3,
            "cup": 3,
            "bowl": 3,
            "jug": 2,
            "fruit": 2,
        },
        walls=("plaster", "tiles", "colour wall", "tiles"),
    ),
    "office": Room(
        width=(2.8, 6.0),
        length=(3.5, 8.0),
        weight=1.3,
        favours={
            "desk": 4,
            "table": 1.5,
            "chair": 2,
            "bookcase": 2,
            "shelf": 1.5,
            "drawers": 1,
            "office chair": 4,
            "bin": 2,
            "monitor": 4,
            "laptop": 3,
            "stack of books": 2,
        },
        floors=("carpet", "planks", "concrete", "terrazzo"),
    ),
    "corridor": Room(
        width=(1.5, 2.3),
        length=(4.5, 9.0),
        weight=0.9,
        pieces=(2, 5),
        favours={
            "drawers": 1.5,
            "bench": 1.5,
            "shelf": 1,
            "wardrobe": 1,
            "radiator": 1,
            "crates": 1,
            "coat stand": 2,
            "plant": 2,
            "bin": 1,
        },
    ),
    "bathroom": Room(
        width=(2.0, 3.2),
        length=(2.6, 4.2),
        weight=0.7,
        pieces=(2, 5),
        floors=_WET,
        favours={"bathtub": 3, "toilet": 6, "drawers": 1.5, "shelf": 1, "radiator": 1, "stool": 2, "bottle": 4},
        walls=("tiles", "tiles", "plaster"),
    ),
    "store": Room(
        width=(2.4, 6.0),
        length=(3.0, 8.0),
        height=(2.3, 3.6),
        weight=0.8,
        pieces=(5, 8),
        favours={
            "shelf": 4,
            "crates": 4,
            "bookcase": 0.5,
            "ladder": 3,
            "traffic cone": 3,
            "bin": 2,
            "box": 5,
            "roll": 3,
        },
        floors=("concrete", "planks", "tiles"),
        walls=("plaster", "concrete", "bricks", "panels"),
    ),
    "play room": Room(
        width=(2.8, 5.0),
        length=(3.0, 6.0),
        weight=0.8,
        favours={
            "shelf": 2,
            "drawers": 1.5,
            "bed": 0.7,
            "crates": 2,
            "low table": 1,
            "big ball": 4,
            "beanbag": 3,
            "pouf": 2,
            "teddy": 5,
            "ball": 4,
            "pyramid": 3,
            "box": 2,
        },
    ),
    "hall": Room(
        width=(4.5, 7.0),
        length=(6.0, 9.0),
        height=(2.7, 3.8),
        weight=0.7,
        pieces=(5, 8),
        favours={
            "bench": 2,
            "sofa": 1.5,
            "table": 1,
            "armchair": 1.5,
            "piano": 1,
            "palm": 3,
            "plant": 2,
            "floor vase": 2,
            "figure": 3,
        },
        floors=("marble", "parquet", "checker tiles", "terrazzo", "carpet"),
    ),
}


def draw_rooms(dice: Dice) -> tuple[Tensor, Tensor]:
    """Return the kind (B int64, number in ROOMS) and the extents (B x 3, metres) of rooms."""
    rooms = tuple(ROOMS.values())
    kind = dice.weighted(weights=tuple(r.weight for r in rooms))
    ranges = torch.tensor([(r.width, r.height, r.length) for r in rooms], device=dice.device)[kind]
    size = ranges[..., 0] + (ranges[..., 1] - ranges[..., 0]) * dice.uniform(3)
    # Some wider than rooms of their kind are.
    wider = dice.uniform(1, low=0.95, high=1.4) * torch.tensor((1.0, 0.0, 1.0), device=dice.device)
    size = torch.maximum(size, (size * wider).clamp(max=_LONGEST))
    return kind, torch.where(dice.chance(1, probability=0.5), size.flip(1), size)


def pick_kinds(dice: Dice, count: int, kinds: tuple[Kind, ...], room_kind_B: Tensor) -> Tensor:
    """Draw B x count classes of objects with the weights of each scene's room."""
    table = [[k.weight * room.favours.get(k.name, _DEFAULT) for k in kinds] for room in ROOMS.values()]
    weights = torch.tensor(table, device=dice.device)[room_kind_B]
    edges = (weights / weights.sum(1, keepdim=True)).cumsum(1)[:, None, :-1]
    return (dice.uniform(count)[..., None] >= edges).sum(-1)
