"""Furniture as templates: boxes, at most one cylinder and one ellipsoid, in the frame of the piece.

A piece has a size (x, y, z) in metres. Every coordinate of a part is ``fraction * size + metres``, with fractions -0.5
.. 0.5 along x and z and 0 .. 1 along y, so table tops keep their thickness whatever the size of the table. The front of
a piece is +z, its back (to the wall) -z. Sizes are the usual ones of homes: metric scale is read from them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

PARTS = 6
"""Boxes a piece has at most."""

Corner = tuple[float, float, float, float, float, float]
"""Fractions x, y, z, then metres x, y, z."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of furniture. low, high: range of sizes. wall: stands with its back to a wall. weight: how common."""

    name: str
    low: tuple[float, float, float]
    high: tuple[float, float, float]
    wall: bool
    weight: float
    boxes: tuple[tuple[Corner, Corner], ...] = ()
    ellipsoid: tuple[Corner, Corner] | None = None
    cylinder: tuple[Corner, Corner] | None = None


def _part(
    fractions: tuple[float, float, float, float, float, float],
    metres: tuple[float, float, float, float, float, float] = (0.0,) * 6,
) -> tuple[Corner, Corner]:
    """Return a part from (x0, x1, y0, y1, z0, z1) as fractions of the size plus metres."""
    fx0, fx1, fy0, fy1, fz0, fz1 = fractions
    mx0, mx1, my0, my1, mz0, mz1 = metres
    return (fx0, fy0, fz0, mx0, my0, mz0), (fx1, fy1, fz1, mx1, my1, mz1)


def _legs(inset: float, width: float, top: float, fraction: float = 1.0) -> tuple[tuple[Corner, Corner], ...]:
    """Return four legs from the floor to ``fraction * height + top``."""
    a, b = inset, inset + width
    return tuple(
        _part(
            (sx * 0.5, sx * 0.5, 0.0, fraction, sz * 0.5, sz * 0.5),
            (-b if sx > 0 else a, -a if sx > 0 else b, 0.0, top, -b if sz > 0 else a, -a if sz > 0 else b),
        )
        for sx in (-1, 1)
        for sz in (-1, 1)
    )


def _top(thickness: float) -> tuple[Corner, Corner]:
    return _part((-0.5, 0.5, 1.0, 1.0, -0.5, 0.5), (0.0, 0.0, -thickness, 0.0, 0.0, 0.0))


_TABLE = (_top(0.04), *_legs(0.04, 0.06, -0.04))
_CHAIR = (
    _part((-0.5, 0.5, 0.0, 0.0, -0.5, 0.5), (0.0, 0.0, 0.41, 0.45, 0.0, 0.0)),
    _part((-0.5, 0.5, 0.0, 1.0, -0.5, -0.5), (0.02, -0.02, 0.5, 0.0, 0.0, 0.04)),
    *_legs(0.01, 0.04, 0.41, 0.0),
)
_SHELF = (
    _part((-0.5, -0.5, 0.0, 1.0, -0.5, 0.5), (0.0, 0.03, 0.0, 0.0, 0.0, 0.0)),
    _part((0.5, 0.5, 0.0, 1.0, -0.5, 0.5), (-0.03, 0.0, 0.0, 0.0, 0.0, 0.0)),
    *(
        _part((-0.5, 0.5, y, y, -0.5, 0.5), (0.02, -0.02, m, m + 0.03, 0.0, -0.02))
        for y, m in ((0.0, 0.06), (0.33, 0.0), (0.66, 0.0), (1.0, -0.05))
    ),
)
_BED = (
    _part((-0.5, 0.5, 0.0, 0.0, -0.5, 0.5), (0.0, 0.0, 0.08, 0.3, 0.03, 0.0)),
    _part((-0.5, 0.5, 0.0, 0.0, -0.5, 0.5), (0.03, -0.03, 0.29, 0.5, 0.06, -0.03)),
    _part((-0.5, 0.5, 0.0, 1.0, -0.5, -0.5), (0.0, 0.0, 0.0, 0.0, 0.0, 0.05)),
    _part((-0.5, 0.5, 0.0, 0.0, -0.5, -0.5), (0.1, -0.1, 0.49, 0.6, 0.1, 0.5)),
)
_SOFA = (
    _part((-0.5, 0.5, 0.0, 0.0, -0.5, 0.5), (0.02, -0.02, 0.05, 0.43, 0.02, -0.02)),
    _part((-0.5, 0.5, 0.0, 1.0, -0.5, -0.5), (0.0, 0.0, 0.05, 0.0, 0.0, 0.22)),
    _part((-0.5, -0.5, 0.0, 0.0, -0.5, 0.5), (0.0, 0.18, 0.0, 0.62, 0.01, 0.0)),
    _part((0.5, 0.5, 0.0, 0.0, -0.5, 0.5), (-0.18, 0.0, 0.0, 0.62, 0.01, 0.0)),
)
_CUPBOARD = (
    _part((-0.5, 0.5, 0.0, 0.0, -0.5, 0.5), (0.02, -0.02, 0.0, 0.08, 0.0, -0.04)),
    _part((-0.5, 0.5, 0.0, 1.0, -0.5, 0.5), (0.0, 0.0, 0.08, 0.0, 0.0, 0.0)),
    _part((0.0, 0.0, 0.5, 0.5, 0.5, 0.5), (-0.06, -0.04, -0.08, 0.08, -0.01, 0.03)),
    _part((0.0, 0.0, 0.5, 0.5, 0.5, 0.5), (0.04, 0.06, -0.08, 0.08, -0.01, 0.03)),
)
_WHOLE = _part((-0.5, 0.5, 0.0, 1.0, -0.5, 0.5))
_VASE = _part((0.2, 0.2, 1.0, 1.0, 0.0, 0.0), (-0.06, 0.06, 0.0, 0.24, -0.06, 0.06))
_BOWL = _part((-0.2, -0.2, 1.0, 1.0, 0.0, 0.0), (-0.13, 0.13, -0.02, 0.12, -0.13, 0.13))

KINDS = (
    Kind(
        name="table",
        low=(1.1, 0.72, 0.7),
        high=(1.8, 0.78, 0.95),
        wall=False,
        weight=1.6,
        boxes=_TABLE,
        cylinder=_VASE,
        ellipsoid=_BOWL,
    ),
    Kind(
        name="desk", low=(1.0, 0.72, 0.55), high=(1.5, 0.76, 0.75), wall=True, weight=0.9, boxes=_TABLE, cylinder=_VASE
    ),
    Kind(
        name="low table",
        low=(0.8, 0.40, 0.5),
        high=(1.2, 0.46, 0.7),
        wall=False,
        weight=0.7,
        boxes=_TABLE,
        ellipsoid=_BOWL,
    ),
    Kind(name="chair", low=(0.42, 0.85, 0.42), high=(0.48, 0.95, 0.48), wall=False, weight=3.0, boxes=_CHAIR),
    Kind(name="shelf", low=(0.7, 1.5, 0.28), high=(1.1, 2.0, 0.38), wall=True, weight=1.6, boxes=_SHELF),
    Kind(name="bed", low=(0.95, 0.85, 2.0), high=(1.7, 1.1, 2.1), wall=True, weight=1.0, boxes=_BED),
    Kind(name="sofa", low=(1.4, 0.78, 0.8), high=(2.1, 0.88, 0.95), wall=True, weight=1.3, boxes=_SOFA),
    Kind(name="cupboard", low=(0.8, 0.75, 0.4), high=(1.4, 2.0, 0.6), wall=True, weight=1.6, boxes=_CUPBOARD),
    Kind(
        name="plant",
        low=(0.45, 0.8, 0.45),
        high=(0.7, 1.4, 0.7),
        wall=True,
        weight=0.8,
        cylinder=_part((-0.3, 0.3, 0.0, 0.0, -0.3, 0.3), (0.0, 0.0, 0.0, 0.32, 0.0, 0.0)),
        ellipsoid=_part((-0.5, 0.5, 0.0, 1.0, -0.5, 0.5), (0.0, 0.0, 0.3, 0.0, 0.0, 0.0)),
    ),
    Kind(name="pouf", low=(0.4, 0.4, 0.4), high=(0.6, 0.46, 0.6), wall=False, weight=0.7, cylinder=_WHOLE),
    Kind(name="ball", low=(0.22, 0.22, 0.22), high=(0.24, 0.24, 0.24), wall=False, weight=0.5, ellipsoid=_WHOLE),
    Kind(
        name="lamp",
        low=(0.38, 1.5, 0.38),
        high=(0.42, 1.7, 0.42),
        wall=True,
        weight=0.6,
        cylinder=_part((0.0, 0.0, 0.0, 1.0, 0.0, 0.0), (-0.02, 0.02, 0.0, -0.25, -0.02, 0.02)),
        ellipsoid=_part((-0.5, 0.5, 1.0, 1.0, -0.5, 0.5), (0.0, 0.0, -0.3, 0.0, 0.0, 0.0)),
    ),
    Kind(name="crate", low=(0.3, 0.25, 0.25), high=(0.6, 0.45, 0.45), wall=False, weight=0.6, boxes=(_WHOLE,)),
)

_ABSENT: tuple[Corner, Corner] = ((0.0,) * 6, (0.0,) * 6)


def sizes(kind_BK: Tensor, unit_BK3: Tensor) -> Tensor:
    """Return sizes B x K x 3 of pieces from their kinds and uniform numbers."""
    low = torch.tensor([k.low for k in KINDS], device=kind_BK.device)[kind_BK]
    high = torch.tensor([k.high for k in KINDS], device=kind_BK.device)[kind_BK]
    return low + (high - low) * unit_BK3


def kind_in(kind_BK: Tensor, *names: str) -> Tensor:
    """Return B x K bool: which pieces are of one of the named kinds."""
    return torch.tensor([k.name in names for k in KINDS], device=kind_BK.device)[kind_BK]


def stands_at_wall(kind_BK: Tensor) -> Tensor:
    """Return B x K bool: which pieces stand with their back to a wall."""
    return torch.tensor([k.wall for k in KINDS], device=kind_BK.device)[kind_BK]


def parts(kind_BK: Tensor, size_BK3: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Build parts of pieces in their own frames.

    Returns centre and half sizes, B x K x (PARTS + 2) x 3 each: the boxes, then the ellipsoid, then the cylinder; and
    which of them exist, B x K x (PARTS + 2) bool.
    """
    rows = [
        [*k.boxes, *(_ABSENT,) * (PARTS - len(k.boxes)), k.ellipsoid or _ABSENT, k.cylinder or _ABSENT] for k in KINDS
    ]
    table = torch.tensor(rows, device=kind_BK.device)[kind_BK]
    corners = table[..., :3] * size_BK3[:, :, None, None] + table[..., 3:]
    low, high = corners.unbind(3)
    exists = torch.tensor([[part is not _ABSENT for part in row] for row in rows], device=kind_BK.device)[kind_BK]
    return (low + high) * 0.5, (high - low) * 0.5, exists
