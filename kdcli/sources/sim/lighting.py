"""Lamps of ``interiors``: how they are drawn, and the light that arrives from them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kdcli.sources.sim.camera import clearance
from kdcli.sources.sim.hashing import Dice
from kdcli.sources.sim.palette import colours
from kdcli.sources.sim.primitives import blocked
from kdcli.sources.sim.rays import Rays
from kdcli.sources.sim.scene import Decals, Geometry, Lamps, View

_SHADOW_GAP = 0.012
_PLACES = 4
_CEILING, _SUN, _LOW, _FLASH = range(4)


def draw_lamps(
    dice: Dice, geometry: Geometry, view: View, windows: Decals, hung: tuple[Tensor, Tensor], wild: Tensor
) -> Lamps:
    """Draw a key light that casts shadows, two others and the ambient light.

    The key is a lamp under the ceiling (below the hanging lamp where there is one: hung = its lowest point B x 3 and
    existence B), the sun through window 0 of ``windows``, a lamp at sitting height, or the camera's flash.
    """
    room, device = geometry.room_B3, geometry.room_B3.device
    batch = len(room)
    kind = dice.weighted(weights=(0.55, 0.22, 0.13, 0.10))
    face, center, half = windows.face_BD[:, 0], windows.center_BD2[:, 0], windows.half_BD2[:, 0]
    kind = torch.where((kind == _SUN) & (half[:, 0] <= 0.0), _CEILING, kind)
    # A lamp must not hang inside a wardrobe or a corner of the wall: several places, the first free one.
    spread = dice.uniform(_PLACES, 2, low=-1.0, high=1.0) * (
        room[:, None, 0::2] * torch.where(kind == _CEILING, 0.3, 0.44)[:, None, None]
    )
    below = room[:, 1, None] - dice.uniform(_PLACES, low=0.12, high=0.4)
    level = torch.where((kind == _LOW)[:, None], dice.uniform(_PLACES, low=0.5, high=1.7), below)
    places = torch.stack((spread[..., 0], level, spread[..., 1]), dim=-1)
    rows = torch.arange(batch, device=device)
    gap = clearance(geometry.select(rows.repeat_interleave(_PLACES)), places.flatten(0, 1), 0.05).view(batch, _PLACES)
    order = torch.arange(_PLACES, device=device) * 1e-3
    free = torch.where(gap > 0.0, 1.0 - order, gap.clamp(max=0.0)).argmax(1)
    key = places.gather(1, free[:, None, None].expand(-1, 1, 3))[:, 0]
    key = torch.where((hung[1] & (kind == _CEILING))[:, None], hung[0], key)
    flash = view.position_B3 + dice.uniform(3, low=-0.08, high=0.08)
    key = torch.where((kind == _FLASH)[:, None], flash, key)
    sun = _sun(dice, room, face, center)
    key = torch.where((kind == _SUN)[:, None], sun, key)
    others = dice.uniform(2, 3, low=-0.46, high=0.46) * room[:, None]
    others = torch.stack((others[..., 0], others[..., 1] + 0.5 * room[:, 1, None], others[..., 2]), dim=-1)
    extreme = dice.chance(1, probability=0.12) | wild[:, None]
    usual = colours(dice, 3, hue=(0.03, 0.16), saturation=(0.0, 0.35), value=(1.0, 1.0))
    cold = colours(dice, 3, hue=(0.52, 0.65), saturation=(0.0, 0.25), value=(1.0, 1.0))
    odd = colours(dice, 3, saturation=(0.1, 0.9), value=(1.0, 1.0))
    colour = torch.where(dice.chance(3, 1, probability=0.3), cold, usual)
    colour = torch.where(extreme[..., None] & dice.chance(3, 1, probability=0.7), odd, colour)
    power = torch.stack(
        (dice.uniform(low=1.5, high=5.0), dice.uniform(low=0.0, high=1.5), dice.uniform(low=0.0, high=1.0)), dim=1
    )
    power = power * torch.where(dice.chance(3, probability=0.35) & (torch.arange(3, device=device) > 0), 0.0, 1.0)
    ambient = torch.where(extreme, dice.uniform(1, low=0.02, high=1.2), dice.uniform(1, low=0.12, high=0.5))
    tint = colours(dice, 1, saturation=(0.0, 0.2), value=(1.0, 1.0))[:, 0]
    falloff = dice.uniform(3, low=0.2, high=0.7)
    falloff = torch.cat((torch.where(kind == _SUN, 0.0, falloff[:, 0])[:, None], falloff[:, 1:]), dim=1)
    toward = dice.uniform(3, low=-1.0, high=1.0) * torch.tensor((0.25, 0.12, 0.25), device=device)
    return Lamps(
        position_BL3=torch.cat((key[:, None], others), dim=1),
        colour_BL3=colour * power[..., None],
        falloff_BL=falloff,
        ambient_B3=ambient * tint,
        toward_B3=toward + torch.tensor((0.0, 0.12, 0.0), device=device),
        corners_B=dice.uniform(low=0.1, high=0.5),
        sun_B=kind == _SUN,
        face_B=face,
        center_B2=center,
        half_B2=half,
    )


def _sun(dice: Dice, room: Tensor, face: Tensor, center: Tensor) -> Tensor:
    """Return a place far outside, seen from inside through the middle of a window on a wall; B x 3."""
    along_x = face < 2
    sign = torch.where((face % 2) == 1, 1.0, -1.0)
    lift = dice.uniform(low=12.0, high=50.0) * (math.pi / 180.0)
    turn = dice.uniform(low=-55.0, high=55.0) * (math.pi / 180.0)
    out, aside = sign * lift.cos() * turn.cos(), lift.cos() * turn.sin()
    x = torch.where(along_x, sign * 0.5 * room[:, 0], center[:, 0])
    z = torch.where(along_x, center[:, 0], sign * 0.5 * room[:, 2])
    ahead = torch.stack((torch.where(along_x, out, aside), lift.sin(), torch.where(along_x, aside, out)), dim=1)
    return torch.stack((x, center[:, 1], z), dim=1) + 25.0 * ahead


def _through_window(lamps: Lamps, room: Tensor, point: tuple[Tensor, ...], ray: tuple[Tensor, ...]) -> Tensor:
    """Return how much of the sun comes through its window, B x N: 0 or 1, soft over some centimetres at the edge.

    ray: from the points to the sun.
    """
    along_x = (lamps.face_B < 2)[:, None]
    plane = torch.where(lamps.face_B < 2, room[:, 0], room[:, 2]) * torch.where(lamps.face_B % 2 == 1, 0.5, -0.5)
    across, ahead = torch.where(along_x, point[0], point[2]), torch.where(along_x, ray[0], ray[2])
    aside, aside_ahead = torch.where(along_x, point[2], point[0]), torch.where(along_x, ray[2], ray[0])
    t = (plane[:, None] - across) / torch.where(ahead.abs() < 1e-4, 1e-4, ahead)
    gap_u = lamps.half_B2[:, 0, None] - (torch.addcmul(aside, t, aside_ahead) - lamps.center_B2[:, 0, None]).abs()
    gap_v = lamps.half_B2[:, 1, None] - (torch.addcmul(point[1], t, ray[1]) - lamps.center_B2[:, 1, None]).abs()
    return (torch.minimum(gap_u, gap_v) * 15.0).clamp_(0.0, 1.0)


def lamplight(
    geometry: Geometry,
    lamps: Lamps,
    point: tuple[Tensor, ...],
    normal: tuple[Tensor, ...],
    eye_B3: Tensor,
    sharpness: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return the light that arrives at surfaces and what of the lamps they would mirror to the eye, 3 x B x N each.

    Lambert's law for the first, Blinn's for the second with an exponent a pixel (B x N).
    """
    x, y, z = point
    nx, ny, nz = normal
    room, half = geometry.room_B3, geometry.room_B3 * 0.5
    tx, ty, tz = lamps.toward_B3[..., None].unbind(1)
    ambient = 1.0 + torch.addcmul(tx * nx, ty, ny).addcmul_(tz, nz)
    for gap, facing in (
        (half[:, 0, None] - x.abs(), nx),
        (half[:, 2, None] - z.abs(), nz),
        (torch.minimum(y, room[:, 1, None] - y), ny),
    ):
        ambient = ambient * (1.0 - lamps.corners_B[:, None] * torch.exp(gap * -3.5) * (1.0 - facing.abs()))
    diffuse = lamps.ambient_B3.T[..., None] * ambient
    mirrored = torch.zeros_like(diffuse)
    eye = [eye_B3[:, k, None] - point[k] for k in range(3)]
    eye_inv = torch.rsqrt((eye[0] * eye[0] + eye[1] * eye[1] + eye[2] * eye[2]).clamp(min=1e-6))
    for lamp in range(lamps.position_BL3.shape[1]):
        position = lamps.position_BL3[:, lamp]
        dx, dy, dz = (position[:, k, None] - point[k] for k in range(3))
        square = dx * dx + dy * dy + dz * dz
        inv = torch.rsqrt(square.clamp(min=1e-6))
        cosine = ((nx * dx + ny * dy + nz * dz) * inv).clamp(min=0.0)
        reach = 1.0 / (0.5 + lamps.falloff_BL[:, lamp, None] * square)
        if lamp == 0:
            rays = Rays(
                origin_B3=position,
                x_BN=nx * _SHADOW_GAP - dx,
                y_BN=ny * _SHADOW_GAP - dy,
                z_BN=nz * _SHADOW_GAP - dz,
            )
            reach = torch.where(blocked(rays, geometry, 1.0), 0.0, reach)
            sun = _through_window(lamps, room, point, (dx, dy, dz))
            reach = torch.where(lamps.sun_B[:, None], reach * sun, reach)
        hx, hy, hz = dx * inv + eye[0] * eye_inv, dy * inv + eye[1] * eye_inv, dz * inv + eye[2] * eye_inv
        facing = (nx * hx + ny * hy + nz * hz) * torch.rsqrt((hx * hx + hy * hy + hz * hz).clamp(min=1e-6))
        shine = facing.clamp(min=0.0).pow(sharpness) * (cosine > 0.0) * reach
        colour = lamps.colour_BL3[:, lamp].T[..., None]
        diffuse = torch.addcmul(diffuse, colour, cosine * reach)
        mirrored = torch.addcmul(mirrored, colour, shine)
    return diffuse, mirrored
