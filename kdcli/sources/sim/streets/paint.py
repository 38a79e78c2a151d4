"""What is seen of a street: grounds and paint, windows, plants, light, haze and sky."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kdcli.sources.sim.finish import surface_look
from kdcli.sources.sim.rays import Rays
from kdcli.sources.sim.scene import CEILING, FACES, FLOOR, Scene, gather_rows
from kdcli.sources.sim.shade import smooth_noise
from kdcli.sources.sim.streets.daylight import Daylight, contact, sky, sunlight, veiled, with_ripple
from kdcli.sources.sim.streets.facades import windows
from kdcli.sources.sim.streets.markings import Markings, painted
from kdcli.sources.sim.streets.road import Road

ZONES = 9
"""Grounds: the carriageway; then strip, pavement, verge and what is beyond, on the left and on the right."""
NEAR, FAR = 1.0, 80.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Street:
    """The ``Outdoors`` of streets. panes_BPF: windows of each solid (``facades.PANES``). kerb_B: brightness of kerbs,
    0 = there are none. tracks_B: how dark the tracks of wheels are."""

    road: Road
    marks: Markings
    daylight: Daylight
    panes_BPF: Tensor
    kerb_B: Tensor
    tracks_B: Tensor

    @property
    def reach(self) -> tuple[float, float]:
        """Depth that is known."""
        return NEAR, FAR

    def aim(self, rays: Rays) -> Rays:
        """Add the fields that foliage is ragged by."""
        return with_ripple(rays, self.daylight)

    def paint(
        self,
        scene: Scene,
        index_BN: Tensor,
        rays: Rays,
        point: tuple[Tensor, ...],
        normal: tuple[Tensor, ...],
        uv: tuple[Tensor, Tensor],
        footprint: Tensor,
    ) -> Tensor:
        """Return the light that arrives at the camera, 3 x B x N."""
        assert scene.finish_BMF is not None
        day, road = self.daylight, self.road
        solids = scene.geometry.ids_BP.shape[1]
        grounded, open_sky = index_BN == solids + FLOOR, index_BN == solids + CEILING
        x, _, z = point
        off = road.off(x, z)
        zone, mouth = self._zone(off, z)
        material = torch.where(grounded, solids + FACES + zone, index_BN)
        # Patterns follow the road where it turns.
        u, v = torch.where(grounded, off, uv[0]), torch.where(grounded, z, uv[1])
        look = surface_look(scene.materials_BMF, scene.finish_BMF, material, (u, v), footprint)
        colour = look.colour(look.blend)
        colour = torch.where(grounded, self._roadway(colour, off, z, zone, mouth, footprint), colour)
        glass, rim, bright, pane = self._windows(index_BN, solids, uv, normal, footprint)
        colour = torch.lerp(colour, bright, rim)
        curtain = (pane > 0.62) * (0.25 + 0.5 * pane)
        colour = torch.lerp(colour, 0.03 + 0.25 * curtain * colour, glass)
        gloss = torch.lerp(look.gloss, torch.full_like(glass, 0.9), glass)
        sharpness = torch.lerp(look.sharpness, torch.full_like(glass, 90.0), glass)
        glow = look.glow + glass * (day.dusk_B[:, None] & (pane > 0.45) & (pane < 0.75)) * 14.0
        seen = self._light(rays, point, normal, colour, (gloss, sharpness, glow), grounded)
        inv = torch.rsqrt(rays.x_BN * rays.x_BN + rays.y_BN * rays.y_BN + rays.z_BN * rays.z_BN)
        way = (z - rays.origin_B3[:, 2, None]) / (rays.z_BN.clamp(min=0.05) * inv)
        return torch.where(open_sky, sky(day, rays), veiled(day, seen, way))

    def _zone(self, off: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return which ground a place has, 0 .. ZONES - 1, and whether a road crosses there."""
        road = self.road
        right = off > 0.0
        out = off.abs()
        limits = torch.where(right[..., None], road.limits_B23[:, None, 1], road.limits_B23[:, None, 0])
        strip = (out[..., None] >= limits).sum(-1) + 1 + 4 * right.long()
        knots = road.ground.knots_BK
        mouth = road.crossed_B[:, None] & (z > knots[:, 1, None] + 0.6) & (z < knots[:, 2, None] - 0.6)
        return torch.where((out < road.half_B[:, None]) | mouth, 0, strip), mouth

    def _roadway(
        self, colour: Tensor, off: Tensor, z: Tensor, zone: Tensor, mouth: Tensor, footprint: Tensor
    ) -> Tensor:
        """Return the colour of the ground with tracks of wheels, kerbs and paint."""
        road, marks = self.road, self.marks
        out = off.abs()
        track = ((off - road.own_B[:, None]).abs() - 0.78) / 0.3
        other = ((off - road.oncoming_B[:, None]).abs() - 0.78) / 0.3
        dark = torch.exp(-track * track) + torch.exp(-other * other)
        colour = colour * (1.0 - self.tracks_B[:, None] * dark * (zone == 0))
        edge = out - road.half_B[:, None]
        kerb = (edge > 0.0) & (edge < 0.16) & (self.kerb_B[:, None] > 0.0) & ~mouth
        colour = torch.where(kerb, self.kerb_B[:, None], colour)
        salt = self.daylight.salt_B[:, None].int()
        worn = smooth_noise(off / 0.12, z / 0.3, salt) * 0.6 + smooth_noise(off / 1.1, z / 2.5, salt) * 0.6
        paint = painted(marks, road, off, z, footprint) * (1.0 - marks.wear_B[:, None] * worn * 1.6).clamp(0.0, 1.0)
        return torch.lerp(colour, marks.colour_B3.T[..., None].expand_as(colour), paint)

    def _windows(
        self, index: Tensor, solids: int, uv: tuple[Tensor, Tensor], normal: tuple[Tensor, ...], footprint: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        table = torch.nn.functional.pad(self.panes_BPF, (0, 0, 0, FACES))
        rows = gather_rows(table, index).movedim(-1, 0).contiguous().unbind(0)
        # Where there are no windows the cells are of no size.
        rows = (rows[0].clamp(min=0.1), rows[1].clamp(min=0.1), *rows[2:])
        return windows(rows, uv[0], uv[1], (normal[1].abs() < 0.85) & (index < solids), footprint * 0.6)

    def _light(
        self,
        rays: Rays,
        point: tuple[Tensor, ...],
        normal: tuple[Tensor, ...],
        colour: Tensor,
        finish: tuple[Tensor, Tensor, Tensor],
        grounded: Tensor,
    ) -> Tensor:
        """Return the light that surfaces send to the camera: sun, sky, what they mirror, what is their own."""
        day = self.daylight
        gloss, sharpness, glow = finish
        nx, ny, nz = normal
        sun = sunlight(day, point, normal)
        above = point[1] - self.road.ground.at(point[2])
        ambient = (0.62 + 0.38 * ny) * (1.0 - 0.3 * torch.exp(above.clamp(min=0.0) * -1.8) * (1.0 - ny.abs()))
        ambient = torch.where(above < 0.25, ambient * contact(day, point), ambient)
        sun_colour, ambient_colour = day.colour_B3.T[..., None], day.ambient_B3.T[..., None]
        # What the sunlit ground throws back.
        bounce = 0.09 * (1.0 - ny) * day.sun_B3[:, 1, None]
        light = sun_colour * (sun + bounce) + ambient_colour * ambient
        dx, dy, dz = rays.x_BN, rays.y_BN, rays.z_BN
        inv = torch.rsqrt(dx * dx + dy * dy + dz * dz)
        dx, dy, dz = dx * inv, dy * inv, dz * inv
        facing = dx * nx + dy * ny + dz * nz
        rx, ry, rz = dx - 2.0 * facing * nx, dy - 2.0 * facing * ny, dz - 2.0 * facing * nz
        grazing = (1.0 - facing.abs()).clamp(0.0, 1.0)
        share = gloss * (0.06 + 0.5 * grazing * grazing * grazing)
        heaven = torch.lerp(day.horizon_B3.T[..., None], day.zenith_B3.T[..., None], ry.clamp(0.0, 1.0).sqrt())
        mirrored = torch.lerp(0.25 * ambient_colour, 0.5 * heaven, (ry * 3.0 + 0.4).clamp(0.0, 1.0))
        sx, sy, sz = day.sun_B3[..., None].unbind(1)
        shine = (rx * sx + ry * sy + rz * sz).clamp(min=0.0).pow(sharpness) * (sun > 0.0)
        return torch.addcmul(colour * (light + glow), share, mirrored + 4.0 * sun_colour * shine)
