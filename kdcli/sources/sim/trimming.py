"""Scenes of a batch one by one, without the solids that they do not use: what a CPU is fastest with.

A scene has room for more solids than most use, and which ones it uses is known on a CPU without waiting for a device.
The spans of the others are what they are in the batch, so the picture is the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from kdcli.sources.sim.rays import Rays
from kdcli.sources.sim.scene import BURIED, FACES, Geometry, Posed, Solids, Standing


def one_by_one(rays: Rays, geometry: Geometry) -> Iterator[tuple[Rays, Geometry, Tensor]]:
    """Yield, for each scene, its rays, its used solids, and their numbers (1 x (P' + 6), shell included)."""
    for b in range(len(rays.origin_B3)):
        ripple = None if rays.ripple_BLN is None else rays.ripple_BLN[b : b + 1]
        own = Rays(
            origin_B3=rays.origin_B3[b : b + 1],
            x_BN=rays.x_BN[b : b + 1],
            y_BN=rays.y_BN[b : b + 1],
            z_BN=rays.z_BN[b : b + 1],
            ripple_BLN=ripple,
        )
        yield own, *_used(geometry.select(torch.tensor([b])))


def _used(geometry: Geometry) -> tuple[Geometry, Tensor]:
    """Return the geometry of one scene without what is buried, and the numbers of what is left."""
    boxes = geometry.boxes
    groups, members = boxes.center.shape[1:3]
    kept = (boxes.center[0, ..., 1] > 0.5 * BURIED).any(-1).nonzero()[:, 0]
    numbers = [(kept[:, None] * members + torch.arange(members)).flatten()]
    trimmed = replace(
        geometry,
        pivot_BG3=geometry.pivot_BG3[:, kept],
        boxes=Solids(center=boxes.center[:, kept], half=boxes.half[:, kept], yaw=boxes.yaw[:, kept]),
    )
    first = groups * members
    left: dict[str, Any] = {}
    for name in ("tilted", "turned", "tapered", "standing", "balls"):
        solids: Posed | Standing | None = getattr(geometry, name)
        if solids is None:
            continue
        kept = (solids.center[0, :, 1] > 0.5 * BURIED).nonzero()[:, 0]
        numbers.append(kept + first)
        first += solids.center.shape[1]
        left[name] = solids.select((slice(None), kept)) if len(kept) else None
    numbers.append(torch.arange(first, first + FACES))
    number = torch.cat(numbers)[None]
    return replace(trimmed, **left, ids_BP=geometry.ids_BP[:, : number.shape[1] - FACES]), number
