"""Light outdoors: the sun with its shadows, the sky, haze; and what is seen where nothing is."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kdcli.sources.sim.hashing import Dice
from kdcli.sources.sim.palette import colours, hsv
from kdcli.sources.sim.primitives import blocked
from kdcli.sources.sim.rays import Rays
from kdcli.sources.sim.scene import Geometry
from kdcli.sources.sim.shade import smooth_noise

_AWAY = 300.0
_SHADOW_GAP = 0.04
RIPPLES = (0.04, 0.016, 0.0065)
"""Cells of the ripple fields, in tangents of the angle: what leaves look like from near, from further and from far."""
_SUNNY, _HAZY, _OVERCAST, _DUSK = range(4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Daylight:
    """Light of B scenes. sun_B3: direction to the sun; colour_B3: its light. ambient_B3: the sky's light.

    zenith_B3, horizon_B3: colours of the sky. haze_B: share of light lost a metre; veil_B3: what replaces it. clouds_B:
    cover, 0 = none; cloud_size_B: relative. skyline_B3: base, roughness and steps of what stands on the horizon, as
    tangents; skyline_colour_B3: its colour. dusk_B: windows are lit.
    casters: what casts shadows. contact: middles (x, y, z), yaws and half sizes on the ground of what darkens it.
    """

    sun_B3: Tensor
    colour_B3: Tensor
    ambient_B3: Tensor
    zenith_B3: Tensor
    horizon_B3: Tensor
    haze_B: Tensor
    veil_B3: Tensor
    clouds_B: Tensor
    cloud_size_B: Tensor
    skyline_B3: Tensor
    skyline_colour_B3: Tensor
    salt_B: Tensor
    dusk_B: Tensor
    casters: Geometry
    contact_BK3: Tensor
    contact_yaw_BK: Tensor
    contact_half_BK2: Tensor


def draw_daylight(dice: Dice, casters: Geometry, contact: tuple[Tensor, Tensor, Tensor]) -> Daylight:
    """Draw sun, sky and haze. casters: what casts shadows. contact: centre (B x K x 3), yaw and half sizes on the
    ground of what darkens the ground below it."""
    weather = dice.weighted(weights=(0.64, 0.1, 0.19, 0.07))
    overcast, dusk = weather == _OVERCAST, weather == _DUSK
    # The smaller of two draws: low suns are commoner, and their long shadows.
    high_sun = dice.uniform(2, low=14.0, high=65.0).amin(-1)
    lift = torch.where(dusk, dice.uniform(low=2.0, high=12.0), high_sun) * (math.pi / 180.0)
    turn = dice.uniform(high=2.0 * math.pi)
    sun = torch.stack((lift.cos() * turn.sin(), lift.sin(), lift.cos() * turn.cos()), dim=1)
    warm = hsv(
        dice.uniform(low=0.06, high=0.13),
        torch.where(dusk, dice.uniform(low=0.2, high=0.6), dice.uniform(low=0.03, high=0.2)),
        torch.ones_like(lift),
    )
    power = dice.uniform(low=1.8, high=4.5)
    dim = torch.where(overcast, dice.uniform(low=0.0, high=0.06), torch.where(weather == _HAZY, 0.5, 1.0))
    power = power * torch.where(dusk, dice.uniform(low=0.1, high=0.5), dim)
    ambient = torch.where(overcast, dice.uniform(low=0.45, high=0.9), dice.uniform(low=0.06, high=0.4))
    tint = hsv(
        dice.uniform(low=0.54, high=0.64),
        torch.where(overcast, dice.uniform(high=0.08), dice.uniform(low=0.05, high=0.35)),
        torch.ones_like(lift),
    )
    # The sky is brighter than anything that it lights, but at dusk.
    high = colours(dice, hue=(0.55, 0.63), saturation=(0.2, 0.7), value=(1.0, 3.5))
    low = colours(dice, hue=(0.5, 0.62), saturation=(0.0, 0.22), value=(2.5, 6.0))
    pale = hsv(torch.full_like(lift, 0.58), dice.uniform(high=0.1), dice.uniform(low=1.6, high=4.0))
    glowing = colours(dice, hue=(0.03, 0.12), saturation=(0.1, 0.6), value=(0.6, 2.0))
    high = torch.where(overcast[:, None], pale * dice.uniform(1, low=0.75, high=1.0), high)
    low = torch.where(overcast[:, None], pale, torch.where(dusk[:, None], glowing, low))
    high = torch.where(dusk[:, None], high * 0.3, high)
    # Visibility: mostly kilometres, in haze some hundred metres, now and then a fog.
    clear = dice.uniform(low=0.0001, high=0.001)
    fog = dice.chance(probability=0.1)
    thick = torch.where(fog, dice.uniform(low=0.015, high=0.04), dice.uniform(low=0.003, high=0.012))
    haze = torch.where((weather == _HAZY) | (overcast & dice.chance(probability=0.25)), thick, clear)
    clouds = dice.uniform(low=-0.5, high=0.8).clamp(min=0.0)
    skyline = dice.uniform(3)
    return Daylight(
        sun_B3=sun,
        colour_B3=warm * power[:, None],
        ambient_B3=tint * ambient[:, None],
        zenith_B3=high,
        horizon_B3=low,
        haze_B=haze,
        veil_B3=low * dice.uniform(1, low=0.2, high=0.45),
        clouds_B=torch.where(overcast, dice.uniform(low=0.0, high=0.6), clouds),
        cloud_size_B=dice.uniform(low=0.3, high=1.2),
        skyline_B3=skyline * torch.tensor((0.03, 0.035, 0.05), device=skyline.device)
        + skyline.new_tensor((-0.01, 0.01, 0)),
        skyline_colour_B3=colours(dice, hue=(0.2, 0.5), saturation=(0.05, 0.45), value=(0.06, 0.3)),
        salt_B=dice.integer(count=4096),
        dusk_B=dusk,
        casters=casters,
        contact_BK3=contact[0],
        contact_yaw_BK=contact[1],
        contact_half_BK2=contact[2],
    )


def with_ripple(rays: Rays, daylight: Daylight) -> Rays:
    """Give rays the fields that foliage is ragged by: functions of the direction alone."""
    ahead = rays.z_BN.clamp(min=0.05)
    across, up = rays.x_BN / ahead, rays.y_BN / ahead
    salt = daylight.salt_B[:, None].int()
    fields = [smooth_noise(across / cell, up / cell, salt) - 0.5 for cell in RIPPLES]
    return replace(rays, ripple_BLN=torch.stack(fields, dim=1))


def sunlight(daylight: Daylight, point: tuple[Tensor, ...], normal: tuple[Tensor, ...]) -> Tensor:
    """Return how much of the sun reaches surfaces (B x N, 0..1): Lambert's law, and shadows."""
    sx, sy, sz = daylight.sun_B3[..., None].unbind(1)
    nx, ny, nz = normal
    cosine = torch.addcmul(torch.addcmul(nx * sx, ny, sy), nz, sz).clamp(min=0.0)
    origin = daylight.sun_B3 * _AWAY
    x, y, z = (p.clamp(-_AWAY, _AWAY) for p in point)
    salt = daylight.salt_B[:, None].int()
    ragged = smooth_noise((x + 0.6 * y) / 0.45, (z + 0.7 * y) / 0.45, salt) - 0.5
    rays = Rays(
        origin_B3=origin,
        x_BN=torch.add(x, nx, alpha=_SHADOW_GAP) - origin[:, 0, None],
        y_BN=torch.add(y, ny, alpha=_SHADOW_GAP) - origin[:, 1, None],
        z_BN=torch.add(z, nz, alpha=_SHADOW_GAP) - origin[:, 2, None],
        ripple_BLN=ragged[:, None].expand(-1, len(RIPPLES), -1),
    )
    return torch.where(blocked(rays, daylight.casters, 1.0), 0.0, cosine)


def contact(daylight: Daylight, point: tuple[Tensor, ...]) -> Tensor:
    """Return how much of the sky's light the ground keeps below and beside vehicles, B x N."""
    x, _, z = point
    kept = torch.ones_like(x)
    cos, sin = daylight.contact_yaw_BK.cos(), daylight.contact_yaw_BK.sin()
    for k in range(cos.shape[1]):
        dx, dz = x - daylight.contact_BK3[:, k, 0, None], z - daylight.contact_BK3[:, k, 2, None]
        c, s = cos[:, k, None], sin[:, k, None]
        out_x = torch.addcmul(c * dx, s, dz, value=-1.0).abs_() - daylight.contact_half_BK2[:, k, 0, None]
        out_z = torch.addcmul(s * dx, c, dz).abs_() - daylight.contact_half_BK2[:, k, 1, None]
        out = torch.maximum(out_x, out_z).clamp_(min=-0.25)
        kept = kept * (1.0 - 0.7 * torch.exp(out * -5.0 - 1.25))
    return kept


def veiled(daylight: Daylight, colour: Tensor, way: Tensor) -> Tensor:
    """Return colours (3 x B x N) as seen through metres of haze (B x N)."""
    clear = torch.exp(-daylight.haze_B[:, None] * way)
    return torch.lerp(daylight.veil_B3.T[..., None].expand_as(colour), colour, clear)


def sky(daylight: Daylight, rays: Rays) -> Tensor:
    """Return the sky, clouds and what stands on the horizon, 3 x B x N."""
    x, y, z = rays.x_BN, rays.y_BN, rays.z_BN
    inv = torch.rsqrt(x * x + y * y + z * z)
    up = y * inv
    salt = daylight.salt_B[:, None].int()
    zenith, horizon = daylight.zenith_B3.T[..., None], daylight.horizon_B3.T[..., None]
    colour = torch.lerp(horizon, zenith, (up.clamp(min=0.0) * 2.2).clamp(max=1.0).sqrt())
    far = torch.reciprocal(up.clamp(min=0.0) + 0.12) * inv / daylight.cloud_size_B[:, None]
    u, v = x * far, z * far
    cover = torch.zeros_like(u)
    for octave, scale in enumerate((1.0, 2.3, 5.1)):
        cover = cover + 0.57 * 0.5**octave * smooth_noise(scale * u, scale * v, salt + octave)
    clouds = daylight.clouds_B[:, None]
    cover = (2.5 * (cover + clouds - 0.75)).clamp(0.0, 1.0) * (clouds > 0.0)
    colour = torch.lerp(colour, 1.15 * horizon.expand_as(colour), cover)
    sx, sy, sz = daylight.sun_B3[..., None].unbind(1)
    toward = ((x * sx + y * sy + z * sz) * inv).clamp(min=0.0)
    colour = torch.addcmul(colour, daylight.colour_B3.T[..., None], 0.5 * toward.pow(12.0) + 4.0 * toward.pow(300.0))
    # Woods, hills and roofs far behind everything that has a depth.
    base, rough, steps = daylight.skyline_B3[..., None].unbind(1)
    across = x / z.clamp(min=0.05)
    nought = torch.zeros_like(across)
    line = base
    for cells, share in ((5.0, 1.0), (31.0, 0.5), (90.0, 0.25)):
        line = line + rough * share * smooth_noise(across * cells, nought, salt)
    line = torch.maximum(line, steps * (smooth_noise((across * 9.0).floor(), nought, salt + 3) - 0.4))
    behind = ((line - up) * 250.0).clamp(0.0, 1.0)
    light = daylight.ambient_B3 + 0.25 * daylight.colour_B3
    shade = (daylight.skyline_colour_B3 * light).T[..., None] * (
        0.75 + 0.5 * smooth_noise(across * 70.0, up * 70.0, salt)
    )
    colour = torch.lerp(
        veiled(daylight, colour, 40.0 / (up.clamp(min=0.0) + 0.1)), veiled(daylight, shade, nought + 400.0), behind
    )
    return colour
