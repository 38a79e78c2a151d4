"""What a surface of ``interiors`` looks like under its lamps: bent and speckled patterns, gloss, glow."""

from __future__ import annotations

import torch
from torch import Tensor

from kdcli.sources.sim.lighting import lamplight
from kdcli.sources.sim.scene import FACES, Lamps, Scene, gather_rows
from kdcli.sources.sim.shade import apply_decals, cell_hash, pattern, smooth_noise


def paint(
    scene: Scene,
    index_BN: Tensor,
    point: tuple[Tensor, ...],
    normal: tuple[Tensor, ...],
    uv: tuple[Tensor, Tensor],
    footprint: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return the light that surfaces send to the camera (3 x B x N) and instance ids (B x N).

    index_BN: numbers of the surfaces; uv: surface coordinates in metres; footprint: size of a pixel there.
    """
    assert scene.finish_BMF is not None and scene.decals is not None and isinstance(scene.lighting, Lamps)
    geometry, decals = scene.geometry, scene.decals
    solids = geometry.ids_BP.shape[1]
    face, height = index_BN - solids, point[1]
    wall = (face >= 0) & ((face < 2) | (face > 3))
    u, v = uv[0], torch.where(wall, height, uv[1])
    material, frame = apply_decals(decals, face, u, v, index_BN, solids + FACES)
    shell = torch.zeros_like(geometry.ids_BP[:, :1]).expand(-1, FACES)
    own = shell[:, :0] if decals.ids_BD is None else decals.ids_BD
    ids = torch.cat((geometry.ids_BP, shell, own), dim=1).gather(1, material)
    rows = gather_rows(scene.materials_BMF, material).movedim(-1, 0).contiguous()
    gloss, sharpness, glow, bend, bend_size, cos, sin, speckle, speckle_size = (
        gather_rows(scene.finish_BMF, material).movedim(-1, 0).contiguous().unbind(0)
    )
    salt = rows[-1].int()
    # Long bends along u, as the grain of wood: the same noise moves both coordinates.
    wave = (smooth_noise(u / (2.5 * bend_size), v / bend_size, salt) - 0.5) * (2.0 * bend)
    u, v = torch.addcmul(cos * u, sin, v).add_(wave), torch.addcmul(cos * v, sin, u, value=-1.0).add_(wave)
    blend, bright = pattern(rows[6:].unbind(0), u, v, footprint)
    spots = _spots(u / speckle_size, v / speckle_size, speckle, salt)
    # Spots finer than a pixel fade into their mean share.
    clear = (speckle_size / (1.5 * footprint) - 0.3).clamp(0.0, 1.0)
    blend = torch.maximum(blend, torch.lerp(speckle, spots, clear))
    blend = torch.where(frame, 1.0, blend)
    board = wall & (height < scene.baseboard_B[:, None]) & (material == index_BN)
    blend = torch.where(board, 1.0, blend)
    colour = torch.lerp(rows[0:3], rows[3:6], blend) * bright.clamp(min=0.1)
    diffuse, mirrored = lamplight(geometry, scene.lighting, point, normal, scene.view.position_B3, sharpness)
    return torch.addcmul(colour * (diffuse + glow), gloss, mirrored), ids


def _spots(u: Tensor, v: Tensor, share: Tensor, salt: Tensor) -> Tensor:
    """Draw one round spot a cell, its size by a hash, that covers about a share of the surface; 0 or 1."""
    column, row = u.floor(), v.floor()
    size = cell_hash(column.int(), row.int(), salt)
    off_u, off_v = u - column - 0.5, v - row - 0.5
    return (off_u * off_u + off_v * off_v < size * share * 0.64).float()
