"""What surfaces look like, those of ``interiors`` under their lamps: bent and speckled patterns, gloss, glow."""

from __future__ import annotations

from dataclasses import dataclass

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
    look = surface_look(scene.materials_BMF, scene.finish_BMF, material, (u, v), footprint)
    blend = torch.where(frame, 1.0, look.blend)
    board = wall & (height < scene.baseboard_B[:, None]) & (material == index_BN)
    blend = torch.where(board, 1.0, blend)
    colour = look.colour(blend)
    diffuse, mirrored = lamplight(geometry, scene.lighting, point, normal, scene.view.position_B3, look.sharpness)
    return torch.addcmul(colour * (diffuse + look.glow), look.gloss, mirrored), ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What materials say of pixels, B x N each: their two colours (3 x B x N), the blend between them, brightness,
    mirrored light and light of their own."""

    first: Tensor
    second: Tensor
    blend: Tensor
    bright: Tensor
    gloss: Tensor
    sharpness: Tensor
    glow: Tensor

    def colour(self, blend: Tensor) -> Tensor:
        """Return the colours, 3 x B x N, for a blend."""
        return torch.lerp(self.first, self.second, blend) * self.bright.clamp(min=0.1)


def surface_look(
    materials_BMF: Tensor, finish_BMF: Tensor, material: Tensor, uv: tuple[Tensor, Tensor], footprint: Tensor
) -> Look:
    """Evaluate materials, by their numbers B x N, at surface coordinates in metres."""
    u, v = uv
    rows = gather_rows(materials_BMF, material).movedim(-1, 0).contiguous()
    gloss, sharpness, glow, bend, bend_size, cos, sin, speckle, speckle_size = (
        gather_rows(finish_BMF, material).movedim(-1, 0).contiguous().unbind(0)
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
    return Look(
        first=rows[0:3], second=rows[3:6], blend=blend, bright=bright, gloss=gloss, sharpness=sharpness, glow=glow
    )


def _spots(u: Tensor, v: Tensor, share: Tensor, salt: Tensor) -> Tensor:
    """Draw one round spot a cell, its size by a hash, that covers about a share of the surface; 0 or 1."""
    column, row = u.floor(), v.floor()
    size = cell_hash(column.int(), row.int(), salt)
    off_u, off_v = u - column - 0.5, v - row - 0.5
    return (off_u * off_u + off_v * off_v < size * share * 0.64).float()
