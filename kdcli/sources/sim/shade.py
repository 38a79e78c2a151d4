"""From hits to light: surface frames, procedural patterns, lamps with shadows."""

from __future__ import annotations

import torch
from torch import Tensor

from kdcli.sources.sim.primitives import blocked
from kdcli.sources.sim.rays import Rays
from kdcli.sources.sim.scene import FACES, Decals, Geometry, Lighting, Scene, gather_rows

_BOX, _ELLIPSOID, _CYLINDER, _SHELL = 0.0, 1.0, 2.0, 3.0
_SHADOW_GAP = 0.012
"""Metres that shadow rays stop above the surface, against a surface shadowing itself."""


def surface_table(geometry: Geometry) -> Tensor:
    """Collect the frame of each surface: origin (3), half (3), cos, sin, type; B x (P + 6) x 9."""
    boxes = geometry.boxes
    batch, _, members = boxes.center.shape[:3]
    cos, sin = boxes.yaw.cos()[..., None], boxes.yaw.sin()[..., None]
    x, y, z = boxes.center.unbind(-1)
    pivot = geometry.pivot_BG3[:, :, None]
    world = torch.stack((cos * x + sin * z, y, cos * z - sin * x), dim=-1) + pivot
    rows = [_rows(world.flatten(1, 2), boxes.half.flatten(1, 2), boxes.yaw.repeat_interleave(members, 1), _BOX)]
    for solids, kind in ((geometry.ellipsoids, _ELLIPSOID), (geometry.cylinders, _CYLINDER)):
        rows.append(_rows(solids.center, solids.half, solids.yaw, kind))
    half = (geometry.room_B3 * 0.5)[:, None].expand(batch, FACES, 3)
    center = torch.stack((torch.zeros_like(half[..., 0]), half[..., 1], torch.zeros_like(half[..., 0])), dim=-1)
    rows.append(_rows(center, half, torch.zeros_like(half[..., 0]), _SHELL))
    return torch.cat(rows, dim=1)


def _rows(center: Tensor, half: Tensor, yaw: Tensor, kind: float) -> Tensor:
    return torch.cat(
        (center, half, yaw.cos()[..., None], yaw.sin()[..., None], torch.full_like(half[..., :1], kind)), dim=-1
    )


def surface_frame(geometry: Geometry, index_BN: Tensor, point: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return world normals (three B x N planes) and surface coordinates u, v in metres (B x N)."""
    row = gather_rows(surface_table(geometry), index_BN).movedim(-1, 0).contiguous().unbind(0)
    cos, sin, kind = row[6], row[7], row[8]
    dx, dy, dz = (point[k] - row[k] for k in range(3))
    lx, ly, lz = cos * dx - sin * dz, dy, sin * dx + cos * dz
    qx, qy, qz = lx / row[3], ly / row[4], lz / row[5]
    ax, ay, az = qx.abs(), qy.abs(), qz.abs()
    is_round, is_cylinder = kind == _ELLIPSOID, kind == _CYLINDER
    on_cap = is_cylinder & (ay * ay > qx * qx + qz * qz)
    along_y = ((ay >= ax) & (ay >= az) & ~is_cylinder) | on_cap
    along_x = (ax >= az) & ~along_y
    along_z = ~(along_x | along_y)
    # Boxes have the normal of the face that is reached, round things the gradient of their equation.
    smooth = is_round | (is_cylinder & ~on_cap)
    flip = torch.where(kind == _SHELL, -1.0, 1.0)
    nx = torch.where(smooth, qx / row[3], torch.where(along_x, qx.sign(), 0.0) * flip)
    ny = torch.where(smooth, torch.where(is_round, qy / row[4], 0.0), torch.where(along_y, qy.sign(), 0.0) * flip)
    nz = torch.where(smooth, qz / row[5], torch.where(along_z, qz.sign(), 0.0) * flip)
    scale = torch.rsqrt((nx * nx + ny * ny + nz * nz).clamp(min=1e-12))
    normal = ((cos * nx + sin * nz) * scale, ny * scale, (cos * nz - sin * nx) * scale)
    return (*normal, torch.where(along_x, lz, lx), torch.where(along_y, lz, ly))


def cell_hash(u: Tensor, v: Tensor, salt: Tensor) -> Tensor:
    """Hash int32 cell numbers to float32 in 0..1."""
    bits = (u * 374761393) ^ (v * 668265263) ^ (salt * 1274126177)
    bits = (bits ^ ((bits >> 13) & 0x7FFFF)) * 1103515245
    bits = (bits ^ ((bits >> 15) & 0x1FFFF)) * 362437
    return ((bits >> 8) & 0xFFFF).float() * (1.0 / 65535.0)


def smooth_noise(u: Tensor, v: Tensor, salt: Tensor) -> Tensor:
    """Interpolate hashed values at whole numbers of u and v; 0..1."""
    floor_u, floor_v = u.floor(), v.floor()
    fu, fv = u - floor_u, v - floor_v
    fu, fv = fu * fu * (3.0 - 2.0 * fu), fv * fv * (3.0 - 2.0 * fv)
    iu, iv = floor_u.int(), floor_v.int()
    low = torch.lerp(cell_hash(iu, iv, salt), cell_hash(iu + 1, iv, salt), fu)
    high = torch.lerp(cell_hash(iu, iv + 1, salt), cell_hash(iu + 1, iv + 1, salt), fu)
    return torch.lerp(low, high, fv)


def pattern(rows: tuple[Tensor, ...], u: Tensor, v: Tensor, footprint: Tensor) -> tuple[Tensor, Tensor]:
    """Evaluate materials at surface coordinates.

    Returns the blend towards the second colour and a brightness factor, B x N each. footprint: size of a pixel on the
    surface in metres; patterns finer than that fade into their mean instead of flickering.
    """
    cell_u, cell_v, shift, joint, checker, vary, noise, grain, line, salt = rows
    salt_int = salt.int()
    grid_v = v / cell_v
    row = grid_v.floor()
    row_int = row.int()
    grid_u = u / cell_u + shift * cell_hash(row_int, row_int, salt_int)
    column = grid_u.floor()
    column_int = column.int()
    small = torch.minimum(cell_u, cell_v)
    visible = (small / (2.0 * footprint) - 0.25).clamp(0.0, 1.0)
    odd = ((row_int + column_int) & 1).float()
    blend = checker * torch.lerp(torch.full_like(odd, 0.5), odd, visible)
    fu, fv = grid_u - column, grid_v - row
    edge = torch.minimum(torch.minimum(fu, 1.0 - fu) * cell_u, torch.minimum(fv, 1.0 - fv) * cell_v)
    # A line of width w under a pixel of width f: covered share, softened over the pixel.
    covered = ((0.5 * (joint + footprint) - edge) / footprint).clamp(0.0, 1.0) * (joint / footprint).clamp(max=1.0)
    blend = torch.lerp(blend, torch.ones_like(blend), line * covered * (visible * 0.7 + 0.3))
    bright = 1.0 + vary * visible * (cell_hash(column_int, row_int, salt_int) - 0.5)
    clouds = smooth_noise(u / grain, v / grain, salt_int) - 0.5
    return blend, bright + noise * clouds * (grain / footprint - 0.5).clamp(0.0, 1.0)


def apply_decals(
    decals: Decals, face_BN: Tensor, u: Tensor, v: Tensor, material_BN: Tensor, first: int
) -> tuple[Tensor, Tensor]:
    """Put doors, windows and paintings on the shell: returns new material numbers and where their frames are.

    face_BN: 0..5, negative off the shell. u, v: face coordinates. first: material number of the first decal.
    """
    frame = torch.zeros_like(u, dtype=torch.bool)
    for d in range(decals.face_BD.shape[1]):
        gap_u = decals.half_BD2[:, d, 0, None] - (u - decals.center_BD2[:, d, 0, None]).abs()
        gap_v = decals.half_BD2[:, d, 1, None] - (v - decals.center_BD2[:, d, 1, None]).abs()
        gap = torch.minimum(gap_u, gap_v)
        if decals.round_BD is not None:
            half_u, half_v = decals.half_BD2[:, d, 0, None], decals.half_BD2[:, d, 1, None]
            off_u, off_v = 1.0 - gap_u / half_u, 1.0 - gap_v / half_v
            oval = (1.0 - (off_u * off_u + off_v * off_v).sqrt()) * torch.minimum(half_u, half_v)
            gap = torch.where(decals.round_BD[:, d, None], oval, gap)
        inside = (gap > 0.0) & (face_BN == decals.face_BD[:, d, None])
        material_BN = torch.where(inside, first + d, material_BN)
        frame = torch.where(inside, gap < decals.frame_BD[:, d, None], frame)
    return material_BN, frame


def albedo(
    scene: Scene, index_BN: Tensor, point: tuple[Tensor, ...], u: Tensor, v: Tensor, footprint: Tensor
) -> Tensor:
    """Return surface colours, 3 x B x N."""
    solids = scene.geometry.ids_BP.shape[1]
    face = index_BN - solids
    height = point[1]
    wall = (face >= 0) & ((face < 2) | (face > 3))
    face_v = torch.where(wall, height, v)
    material, frame = index_BN, None
    if scene.decals is not None:
        material, frame = apply_decals(scene.decals, face, u, face_v, index_BN, solids + FACES)
    rows = gather_rows(scene.materials_BMF, material).movedim(-1, 0).contiguous()
    blend, bright = pattern(rows[6:].unbind(0), u, torch.where(face >= 0, face_v, v), footprint)
    if frame is not None:
        blend = torch.where(frame, 1.0, blend)
    # A baseboard: where the floor ends is the strongest cue for the distance of a wall.
    board = wall & (height < scene.baseboard_B[:, None]) & (material == index_BN)
    blend = torch.where(board, 1.0, blend)
    return torch.lerp(rows[0:3], rows[3:6], blend) * bright.clamp(min=0.1)


def light(geometry: Geometry, lighting: Lighting, point: tuple[Tensor, ...], normal: tuple[Tensor, ...]) -> Tensor:
    """Return the light that arrives at surfaces, 3 x B x N: ambient, and Lambert's law for each lamp."""
    x, y, z = point
    nx, ny, nz = normal
    # Upward surfaces see more of the sky or ceiling light than downward ones.
    ambient = 0.85 + 0.15 * ny
    if lighting.corners > 0.0:
        half = geometry.room_B3 * 0.5
        for gap, facing in (
            (half[:, 0, None] - x.abs(), nx),
            (half[:, 2, None] - z.abs(), nz),
            (torch.minimum(y, geometry.room_B3[:, 1, None] - y), ny),
        ):
            ambient = ambient * (1.0 - lighting.corners * torch.exp(gap * -3.5) * (1.0 - facing.abs()))
    total = lighting.ambient_B3.T[..., None] * ambient
    for lamp in range(lighting.position_BL3.shape[1]):
        position = lighting.position_BL3[:, lamp]
        dx, dy, dz = (position[:, k, None] - point[k] for k in range(3))
        square = dx * dx + dy * dy + dz * dz
        cosine = (nx * dx + ny * dy + nz * dz) * torch.rsqrt(square.clamp(min=1e-6))
        strength = cosine.clamp(min=0.0) / (0.5 + lighting.falloff * square)
        if lamp == 0 and lighting.shadows:
            rays = Rays(
                origin_B3=position,
                x_BN=nx * _SHADOW_GAP - dx,
                y_BN=ny * _SHADOW_GAP - dy,
                z_BN=nz * _SHADOW_GAP - dz,
            )
            strength = torch.where(blocked(rays, geometry, 1.0), 0.0, strength)
        total = total + lighting.colour_BL3[:, lamp].T[..., None] * strength
    return total
