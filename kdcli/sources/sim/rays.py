"""Rays: they start at one point a scene (the camera, or a lamp) and have directions of any length, N rays a scene.

Directions are kept as three B x N planes, so that every step is a contiguous vector operation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Rays:
    """origin_B3, and directions as x, y, z planes of B x N.

    ripple_BLN: L smooth fields about 0 that ragged solids grow and shrink by, see ``scene.Standing``; None = none do.
    """

    origin_B3: Tensor
    x_BN: Tensor
    y_BN: Tensor
    z_BN: Tensor
    ripple_BLN: Tensor | None = None
