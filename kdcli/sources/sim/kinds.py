"""Object classes as data: what a class is made of, and the tables that build a batch of objects from it.

An object has a size (x, y, z) in metres and its own frame: x and z about its middle, y up from its foot, front +z. Each
end of a part along an axis is ``fraction * size + metres``, so table tops keep their thickness on every table.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kdcli.sources.sim.posed import PROFILES, turns

FRAME_BOXES, LOOSE_PARTS, SITES, LOOKS = 6, 5, 6, 3
"""Most upright boxes of a piece of furniture, other parts of any object, sites for small things, looks."""

BOX, TURNED, TAPERED = range(3)

Six = tuple[float, float, float, float, float, float]
NOTHING: Six = (0.0,) * 6
WHOLE: Six = (-0.5, 0.5, 0.0, 1.0, -0.5, 0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One solid: ``box``, ``taper`` or a profile's name; ends x0, x1, y0, y1, z0, z1; tilt in degrees about its own
    middle. taper: what a tapered box loses of its half sizes along x and z up to its top, 1 = all. ragged: how far the
    outline of foliage comes and goes, as a share of its radius."""

    shape: str
    fraction: Six
    metres: Six = NOTHING
    look: int = 0
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    taper: tuple[float, float] = (0.0, 0.0)
    ragged: float = 0.0

    @property
    def upright(self) -> bool:
        """Whether it is a box that turns with its object only."""
        return self.shape == "box" and self.yaw == self.pitch == self.roll == 0.0


def part(
    shape: str,
    fraction: Six = WHOLE,
    metres: Six = NOTHING,
    look: int = 0,
    *,
    tilt: tuple[float, float, float] = (0, 0, 0),
) -> Part:
    """Return a part; tilt: yaw, pitch, roll in degrees."""
    yaw, pitch, roll = tilt
    return Part(shape=shape, fraction=fraction, metres=metres, look=look, yaw=yaw, pitch=pitch, roll=roll)


def legs(inset: float, width: float, top: float, fraction: float = 1.0, look: int = 0) -> tuple[Part, ...]:
    """Return four legs from the floor to ``fraction * height + top``."""
    a, b = inset, inset + width
    return tuple(
        part(
            "box",
            (sx * 0.5, sx * 0.5, 0.0, fraction, sz * 0.5, sz * 0.5),
            (-b if sx > 0 else a, -a if sx > 0 else b, 0.0, top, -b if sz > 0 else a, -a if sz > 0 else b),
            look,
        )
        for sx in (-1, 1)
        for sz in (-1, 1)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A place for a small thing: x0, x1, z0, z1 as fractions of the size; height ``level * size + metres``; ``gap``:
    metres of air above it."""

    area: tuple[float, float, float, float]
    level: float = 1.0
    metres: float = 0.0
    gap: float = 9.0


def row_of_sites(count: int, level: float = 1.0, metres: float = 0.0, gap: float = 9.0) -> tuple[Site, ...]:
    """Return sites beside each other along x."""
    step = 0.9 / count
    return tuple(
        Site(area=(-0.45 + step * i, -0.45 + step * (i + 1), -0.4, 0.4), level=level, metres=metres, gap=gap)
        for i in range(count)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One class of objects.

    low, high: range of sizes. looks: for each look that parts name, the materials it may have. wall: stands with its
    back to a wall. weight: how common where a room does not say.
    """

    name: str
    low: tuple[float, float, float]
    high: tuple[float, float, float]
    parts: tuple[Part, ...]
    looks: tuple[tuple[str, ...], ...]
    sites: tuple[Site, ...] = ()
    wall: bool = False
    weight: float = 1.0
    square: bool = False
    """As deep as wide."""
    cube: bool = False
    """As deep and as high as wide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pieces:
    """A batch of objects: B x K each. kind: number in ``kinds``. place: foot in the world. turn: B x K x 3 x 3."""

    kinds: tuple[Kind, ...]
    kind: Tensor
    size: Tensor
    place: Tensor
    turn: Tensor
    exists: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Loose:
    """Parts in any pose, B x (K * slots) each; shape: BOX, TURNED or TAPERED; owner: position of the object, look:
    which of its looks; taper, ragged: as in ``Part``."""

    center: Tensor
    half: Tensor
    turn: Tensor
    profile: Tensor
    shape: Tensor
    exists: Tensor
    owner: Tensor
    look: Tensor
    taper: Tensor
    ragged: Tensor

    @property
    def box(self) -> Tensor:
        """Which parts are boxes."""
        return self.shape == BOX


def draw_sizes(kinds: tuple[Kind, ...], kind_BK: Tensor, unit_BK3: Tensor) -> Tensor:
    """Return sizes B x K x 3 of objects from their kinds and uniform numbers."""
    device = kind_BK.device
    low = torch.tensor([k.low for k in kinds], device=device)[kind_BK]
    high = torch.tensor([k.high for k in kinds], device=device)[kind_BK]
    size = low + (high - low) * unit_BK3
    equal = torch.tensor([(False, k.cube, k.square or k.cube) for k in kinds], device=device)[kind_BK]
    return torch.where(equal, size[..., :1], size)


def _ends(parts: list[list[Part]], count: int, kind_BK: Tensor, size_BK3: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return centre, half size (B x K x count x 3) and existence of parts in the frames of their objects."""
    absent = part("box", NOTHING)
    rows = [[*own, *(absent,) * (count - len(own))] for own in parts]
    table = torch.tensor([[(*p.fraction, *p.metres) for p in row] for row in rows], device=kind_BK.device)[kind_BK]
    fraction, metres = table.reshape(*table.shape[:-1], 2, 3, 2).unbind(-3)
    ends = fraction * size_BK3[:, :, None, :, None] + metres
    exists = torch.tensor([[p is not absent for p in row] for row in rows], device=kind_BK.device)[kind_BK]
    half = torch.where(exists[..., None], (ends[..., 1] - ends[..., 0]) * 0.5, 0.001)
    return ends.mean(-1), half.clamp(min=0.001), exists


def frame_boxes(pieces: Pieces, count: int = FRAME_BOXES) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return centre, half size, existence and look (int64) of the upright boxes, B x K x count (x 3) each, in the
    frames of their pieces."""
    upright = [[p for p in kind.parts if p.upright] for kind in pieces.kinds]
    looks = [[p.look for p in row] + [0] * (count - len(row)) for row in upright]
    center, half, exists = _ends(upright, count, pieces.kind, pieces.size)
    look = torch.tensor(looks, device=half.device)[pieces.kind]
    return center, half, exists & pieces.exists[..., None], look


def loose_parts(pieces: Pieces, *, upright: bool, first_owner: int, slots: int = LOOSE_PARTS) -> Loose:
    """Return all parts in world coordinates; with ``upright`` those too that could turn with their object only."""
    device = pieces.kind.device
    parts = [[p for p in kind.parts if upright or not p.upright] for kind in pieces.kinds]
    center, half, exists = _ends(parts, slots, pieces.kind, pieces.size)
    absent = part("box", NOTHING)
    rows = [[*own, *(absent,) * (slots - len(own))] for own in parts]
    tilt = torch.tensor([[(p.yaw, p.pitch, p.roll) for p in row] for row in rows], device=device) * (math.pi / 180.0)
    profile = torch.tensor([[PROFILES.get(p.shape, (0.0, 0.0, -1.0)) for p in row] for row in rows], device=device)
    shapes = {"box": BOX, "taper": TAPERED}
    shape = torch.tensor([[shapes.get(p.shape, TURNED) for p in row] for row in rows], device=device)
    taper = torch.tensor([[p.taper for p in row] for row in rows], device=device)
    ragged = torch.tensor([[p.ragged for p in row] for row in rows], device=device)
    look = torch.tensor([[p.look for p in row] for row in rows], device=device)
    own = turns(*tilt.unbind(-1))[pieces.kind]
    turn = pieces.turn[:, :, None]
    world = (turn * center[..., None]).sum(-2) + pieces.place[:, :, None]
    owner = torch.arange(pieces.kind.shape[1], device=device)[:, None] + first_owner
    return Loose(
        center=world.flatten(1, 2),
        half=half.flatten(1, 2),
        # The rows of a product of rotations, summed by hand: matrix units of GPUs round more coarsely.
        turn=(own[..., None] * turn[..., None, :, :]).sum(-2).flatten(1, 2),
        profile=profile[pieces.kind].flatten(1, 2),
        shape=shape[pieces.kind].flatten(1, 2),
        exists=(exists & pieces.exists[..., None]).flatten(1, 2),
        owner=owner.expand(*pieces.kind.shape, slots).flatten(1, 2),
        look=look[pieces.kind].flatten(1, 2),
        taper=taper[pieces.kind].flatten(1, 2),
        ragged=ragged[pieces.kind].flatten(1, 2),
    )


def object_sites(pieces: Pieces) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return where small things can stand: middle (B x K*SITES x 3, world), half extents along the piece's x and z
    (x 2), air above, existence."""
    rows = [
        [(*s.area, s.level, s.metres, s.gap, 1.0) for s in kind.sites] + [(0.0,) * 8] * (SITES - len(kind.sites))
        for kind in pieces.kinds
    ]
    x0, x1, z0, z1, level, metres, gap, there = torch.tensor(rows, device=pieces.kind.device)[pieces.kind].unbind(-1)
    width, height, depth = pieces.size[:, :, None].unbind(-1)
    middle = torch.stack(((x0 + x1) * 0.5 * width, level * height + metres, (z0 + z1) * 0.5 * depth), dim=-1)
    world = (pieces.turn[:, :, None] * middle[..., None]).sum(-2) + pieces.place[:, :, None]
    half = torch.stack(((x1 - x0) * 0.5 * width, (z1 - z0) * 0.5 * depth), dim=-1)
    exists = (there > 0.0) & pieces.exists[..., None]
    return world.flatten(1, 2), half.flatten(1, 2), gap.flatten(1), exists.flatten(1)
