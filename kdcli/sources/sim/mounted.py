"""What is flat on the shell of ``interiors``: windows, doors, pictures, clocks, switches, rugs, panels of light."""

from __future__ import annotations

import torch
from torch import Tensor

from kdcli.sources.sim.hashing import Dice
from kdcli.sources.sim.materials import NUMBER
from kdcli.sources.sim.scene import Decals

Range = tuple[float, float]
_ANYWHERE, _FLOOR, _CEILING = -1, 2, 3
_TABLE: tuple[tuple[str, int, float, Range, Range, Range, tuple[str, ...], float, bool], ...] = (
    # what, face, probability, half width, half height, lower edge or share, materials, frame, is an object
    ("window", _ANYWHERE, 0.8, (0.35, 1.1), (0.4, 0.8), (0.7, 1.0), ("sky", "sky", "sky", "night"), 0.06, False),
    ("window", _ANYWHERE, 0.4, (0.3, 0.8), (0.4, 0.7), (0.8, 1.1), ("sky", "sky", "night"), 0.06, False),
    ("glass door", _ANYWHERE, 0.15, (0.5, 1.0), (1.0, 1.1), (0.0, 0.02), ("sky", "night"), 0.06, False),
    ("door", _ANYWHERE, 0.75, (0.38, 0.5), (0.98, 1.06), (0.0, 0.01), ("door",), 0.06, False),
    ("door", _ANYWHERE, 0.3, (0.38, 0.5), (0.98, 1.06), (0.0, 0.01), ("door",), 0.06, False),
    ("picture", _ANYWHERE, 0.6, (0.15, 0.6), (0.15, 0.45), (1.1, 1.6), ("art",), 0.03, True),
    ("picture", _ANYWHERE, 0.6, (0.12, 0.4), (0.15, 0.4), (1.1, 1.6), ("art", "paper"), 0.03, True),
    ("poster", _ANYWHERE, 0.4, (0.2, 0.5), (0.3, 0.7), (0.9, 1.4), ("art", "paper", "cover"), 0.0, True),
    ("clock", _ANYWHERE, 0.3, (0.12, 0.2), (0.12, 0.2), (1.6, 1.8), ("paper", "dots"), 0.02, True),
    ("board", _ANYWHERE, 0.15, (0.4, 1.0), (0.35, 0.6), (0.9, 1.2), ("paper", "dark", "cloth"), 0.03, True),
    ("switch", _ANYWHERE, 0.5, (0.04, 0.06), (0.04, 0.06), (1.05, 1.2), ("paper",), 0.008, False),
    ("rug", _FLOOR, 0.55, (0.5, 1.5), (0.4, 1.1), (-0.5, 0.5), ("rug", "rug", "cloth", "velvet"), 0.08, True),
    ("mat", _FLOOR, 0.3, (0.3, 0.6), (0.2, 0.45), (-0.85, 0.85), ("rug", "basket", "striped cloth"), 0.04, True),
    ("light panel", _CEILING, 0.4, (0.1, 0.6), (0.1, 0.3), (-0.3, 0.3), ("glow",), 0.0, False),
    ("light panel", _CEILING, 0.2, (0.1, 0.5), (0.1, 0.3), (-0.6, 0.6), ("glow",), 0.0, False),
)
COUNT = len(_TABLE)
OBJECTS = sum(row[-1] for row in _TABLE)
_WALL_FACES = (0, 1, 4, 5)
_ROUND = {"clock": 1.0, "rug": 0.3, "mat": 0.2, "light panel": 0.3}


def mount(dice: Dice, room: Tensor, first_id: int) -> tuple[Decals, Tensor]:
    """Draw what is mounted; the sun can shine through decal 0. Returns decals and numbers of their materials."""
    device = room.device
    what, faces, probability, wide, high, level, materials, frames, objects = zip(*_TABLE, strict=True)

    def between(ranges: tuple[Range, ...]) -> Tensor:
        low, top = torch.tensor(ranges, device=device).unbind(1)
        return low + (top - low) * dice.uniform(COUNT)

    face = torch.tensor(faces, device=device)
    on_wall = face < 0
    wall = torch.tensor(_WALL_FACES, device=device)[dice.integer(COUNT, count=4)]
    face = torch.where(on_wall, wall, face)
    exists = dice.uniform(COUNT) < torch.tensor(probability, device=device)
    half_u, half_v, lower = between(wide), between(high), between(level)
    kinds = [_ROUND.get(name, 0.0) for name in what]
    is_round = exists & (dice.uniform(COUNT) < torch.tensor(kinds, device=device))
    # u runs along z on the x faces, along x elsewhere; v up on walls, along z on floor and ceiling.
    length = torch.where(face < 2, room[:, 2, None], room[:, 0, None])
    half_u = torch.minimum(half_u, 0.42 * length)
    half_v = torch.where(
        on_wall,
        torch.minimum(half_v, (room[:, 1, None] - lower - 0.05) * 0.5),
        torch.minimum(half_v, 0.42 * room[:, 2, None]),
    )
    along = dice.uniform(COUNT, low=-1.0, high=1.0) * (0.5 * length - half_u - 0.05).clamp(min=0.0)
    across = lower * (0.5 * room[:, 2, None] - half_v - 0.05).clamp(min=0.0)
    frame = torch.tensor(frames, device=device).expand_as(half_u) * dice.uniform(COUNT, low=0.4, high=1.4)
    choices = [[NUMBER[row[i % len(row)]] for i in range(12)] for row in materials]
    material = (
        torch.tensor(choices, device=device)
        .expand(len(room), -1, -1)
        .gather(2, dice.integer(COUNT, 1, count=12))[..., 0]
    )
    ids, number = [], first_id
    for is_object in objects:
        ids.append(number if is_object else 0)
        number += is_object
    decals = Decals(
        face_BD=face,
        center_BD2=torch.stack((along, torch.where(on_wall, lower + half_v, across)), dim=-1),
        half_BD2=torch.stack((torch.where(exists, half_u, -1.0), half_v), dim=-1),
        frame_BD=frame,
        round_BD=is_round,
        ids_BD=torch.tensor(ids, device=device).expand(len(room), -1),
    )
    return decals, material
