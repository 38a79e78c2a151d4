"""Surface frames of every type of solid: normals, and coordinates for patterns. ``shade`` has the shorter form for
worlds whose solids all stand upright."""

from __future__ import annotations

import torch
from torch import Tensor

from kdcli.sources.sim.scene import FACES, Geometry, gather_rows

_BOX, _TURNED, _SHELL, _TAPERED = 0.0, 1.0, 2.0, 3.0


def frame_table(geometry: Geometry) -> Tensor:
    """Collect origin (3), scale (3), axes (9), profile (3) and type of each surface; B x (P + 6) x 19.

    The geometry holds box groups, solids in any pose and standing ones, but no upright ellipsoids or cylinders.
    """
    boxes = geometry.boxes
    batch, groups, members = boxes.center.shape[:3]
    cos, sin = boxes.yaw.cos(), boxes.yaw.sin()
    zero, one = torch.zeros_like(cos), torch.ones_like(cos)
    axes = torch.stack((cos, zero, -sin, zero, one, zero, sin, zero, cos), dim=-1)
    x, y, z = boxes.center.unbind(-1)
    cos, sin = cos[..., None], sin[..., None]
    center = torch.stack((cos * x + sin * z, y, cos * z - sin * x), dim=-1) + geometry.pivot_BG3[:, :, None]
    rows = [
        _rows(
            center.flatten(1, 2),
            boxes.half.flatten(1, 2),
            axes[:, :, None].expand(-1, -1, members, -1).reshape(batch, groups * members, 9),
            _BOX,
        )
    ]
    for posed, kind in ((geometry.tilted, _BOX), (geometry.turned, _TURNED)):
        if posed is not None:
            rows.append(_rows(posed.center, posed.half, posed.turn.flatten(2), kind, posed.profile))
    straight = torch.eye(3, device=boxes.half.device).reshape(9)
    if geometry.tapered is not None:
        posed = geometry.tapered
        assert posed.taper is not None
        lost = torch.cat((posed.taper, torch.zeros_like(posed.taper[..., :1])), dim=-1)
        rows.append(_rows(posed.center, posed.half, posed.turn.flatten(2), _TAPERED, lost))
    for standing in (geometry.standing, geometry.balls):
        if standing is not None:
            own = straight.expand(*standing.half.shape[:2], 9)
            rows.append(_rows(standing.center, standing.half, own, _TURNED, standing.profile))
    half = (geometry.room_B3 * 0.5)[:, None].expand(batch, FACES, 3)
    nought = torch.zeros_like(half[..., 0])
    center = torch.stack((nought, half[..., 1], nought), dim=-1)
    rows.append(_rows(center, half, straight.expand(batch, FACES, 9), _SHELL))
    return torch.cat(rows, dim=1)


def _rows(center: Tensor, half: Tensor, axes: Tensor, kind: float, profile: Tensor | None = None) -> Tensor:
    profile = torch.zeros_like(half) if profile is None else profile
    return torch.cat((center, half.reciprocal(), axes, profile, torch.full_like(half[..., :1], kind)), dim=-1)


def surface_frames(geometry: Geometry, index_BN: Tensor, point: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return world normals (three B x N planes) and surface coordinates u, v in metres (B x N)."""
    row = gather_rows(frame_table(geometry), index_BN).movedim(-1, 0).contiguous().unbind(0)
    dx, dy, dz = (point[k] - row[k] for k in range(3))
    local = [torch.addcmul(row[6 + 3 * k] * dx, row[7 + 3 * k], dy).addcmul_(row[8 + 3 * k], dz) for k in range(3)]
    qx, qy, qz = (local[k] * row[3 + k] for k in range(3))
    square, linear, constant, kind = row[15:]
    ax, ay, az = qx.abs(), qy.abs(), qz.abs()
    lean_x = lean_z = None
    if geometry.tapered is not None:
        # Sides that lean: how much of the half size is lost at this height, and what the normal has of y.
        leaning = kind == _TAPERED
        lean_x, lean_z = (torch.where(leaning, 0.5 * lost, 0.0) for lost in (square, linear))
        ax, az = torch.addcmul(ax, lean_x, qy + 1.0), torch.addcmul(az, lean_z, qy + 1.0)
    is_turned = kind == _TURNED
    # Inside the profile a point of the surface can only lie on one of the flat ends.
    inside = torch.addcmul(torch.addcmul(qx * qx + constant, qz, qz), square * qy + linear, qy)
    on_end = is_turned & (1.0 - ay < -inside)
    along_y = torch.where(is_turned, on_end, (ay >= ax) & (ay >= az))
    along_x = (ax >= az) & ~along_y
    along_z = ~(along_x | along_y)
    # Boxes have the normal of the face that is reached, turned solids the gradient of their equation.
    smooth = is_turned & ~on_end
    flip = torch.where(kind == _SHELL, -1.0, 1.0)
    nx = torch.where(smooth, qx * row[3], torch.where(along_x, qx.sign(), 0.0) * flip)
    flat = torch.where(along_y, qy.sign(), 0.0) * flip
    if lean_x is not None and lean_z is not None:
        # The normal is taken in the solid's own units here, so that it leans as far as the side does.
        flat = flat + torch.where(
            along_x, lean_x * row[4] / row[3], torch.where(along_z, lean_z * row[4] / row[5], 0.0)
        )
    ny = torch.where(smooth, (square * qy + 0.5 * linear) * row[4], flat)
    nz = torch.where(smooth, qz * row[5], torch.where(along_z, qz.sign(), 0.0) * flip)
    scale = torch.rsqrt((nx * nx + ny * ny + nz * nz).clamp(min=1e-12))
    nx, ny, nz = nx * scale, ny * scale, nz * scale
    normal = tuple(torch.addcmul(row[6 + k] * nx, row[9 + k], ny).addcmul_(row[12 + k], nz) for k in range(3))
    return (*normal, torch.where(along_x, local[2], local[0]), torch.where(along_y, local[2], local[1]))
