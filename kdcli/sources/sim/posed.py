"""Solids in any pose: boxes that lean or lie, and solids of revolution (balls, cans, cones, domes, barrels).

A ray is carried into a solid's own axes and units, where a box is |x|, |y|, |z| <= 1 and a solid of revolution is
x^2 + z^2 + A y^2 + B y + C <= 0 between y = -1 and y = 1. One quadratic formula serves all profiles. Tapered boxes
narrow upwards: |x| <= 1 - a (1 + y) / 2 and |z| <= 1 - b (1 + y) / 2. Roofs, cabins of cars.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from kdcli.sources.sim.scene import Posed, Standing

if TYPE_CHECKING:
    from kdcli.sources.sim.rays import Rays

_TINY = 1e-7


def _tapered(top: float) -> tuple[float, float, float]:
    """Return the profile of radius 1 at the bottom and ``top`` at the top, in a straight line."""
    middle, slope = 0.5 * (1.0 + top), 0.5 * (1.0 - top)
    return -slope * slope, 2.0 * middle * slope, -middle * middle


def _upside_down(profile: tuple[float, float, float]) -> tuple[float, float, float]:
    return profile[0], -profile[1], profile[2]


_DOME = (0.25, 0.5, -0.75)
PROFILES: dict[str, tuple[float, float, float]] = {
    "ball": (1.0, 0.0, -1.0),
    "can": (0.0, 0.0, -1.0),
    "barrel": (0.45, 0.0, -1.0),
    "dome": _DOME,
    "bowl": _upside_down(_DOME),
    "cone": _tapered(0.0),
    "shade": _tapered(0.5),
    "pot": _upside_down(_tapered(0.65)),
}
"""A, B, C. ``dome`` and ``bowl`` are half ellipsoids, ``shade`` and ``pot`` cut-off cones, a ``barrel`` bulges."""


def turns(yaw: Tensor, pitch: Tensor, roll: Tensor) -> Tensor:
    """Return rotations (... x 3 x 3) whose rows are a solid's axes: turned by yaw about y, then tilted.

    pitch lifts the solid's front (its z axis), roll its right side (its x axis). Radians.
    """
    cy, sy, cp, sp, cr, sr = yaw.cos(), yaw.sin(), pitch.cos(), pitch.sin(), roll.cos(), roll.sin()
    # Rows before yaw: tilt = Roll(z) Pitch(x); then each row (x, y, z) is carried by the yaw.
    rows = ((cr, sr * cp, -sr * sp), (-sr, cr * cp, -cr * sp), (torch.zeros_like(cr), sp, cp))
    return torch.stack([torch.stack((cy * x + sy * z, y, cy * z - sy * x), dim=-1) for x, y, z in rows], dim=-2)


def to_unit(rays: Rays, posed: Posed) -> tuple[tuple[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor], Tensor]:
    """Carry rays into the solids' own axes and units: origins as three B x K x 1, directions as three B x K x N,
    and the B x K x 3 x 3 map itself."""
    unit_map = posed.turn / posed.half[..., None]
    offset = rays.origin_B3[:, None] - posed.center
    origin = (unit_map * offset[:, :, None]).sum(-1)[..., None]
    x, y, z = rays.x_BN[:, None], rays.y_BN[:, None], rays.z_BN[:, None]
    rows = unit_map[..., None].unbind(2)
    ahead = [torch.addcmul(row[:, :, 0] * x, row[:, :, 1], y).addcmul_(row[:, :, 2], z) for row in rows]
    return (origin[:, :, 0], origin[:, :, 1], origin[:, :, 2]), (ahead[0], ahead[1], ahead[2]), unit_map


def _inverse(value: Tensor) -> Tensor:
    return torch.where(value.abs() < _TINY, _TINY, value).reciprocal_()


def tilted_span(rays: Rays, boxes: Posed) -> tuple[Tensor, Tensor]:
    """Return enter and leave parameters of boxes, B x T x N each; leave <= enter where a ray misses."""
    origin, ahead, _ = to_unit(rays, boxes)
    enter, leave = None, None
    for o, d in zip(origin, ahead, strict=True):
        inv = _inverse(d)
        middle, reach = inv * -o, inv.abs()
        low, high = middle - reach, middle.add_(reach)
        enter = low if enter is None else torch.maximum(enter, low)
        leave = high if leave is None else torch.minimum(leave, high)
    assert enter is not None and leave is not None
    return enter, leave


def tapered_span(rays: Rays, boxes: Posed) -> tuple[Tensor, Tensor]:
    """Return enter and leave parameters of tapered boxes, B x W x N each; leave <= enter where a ray misses."""
    assert boxes.taper is not None
    (ox, oy, oz), (dx, dy, dz), _ = to_unit(rays, boxes)
    inv = _inverse(dy)
    middle, reach = inv * -oy, inv.abs()
    enter, leave = middle - reach, middle.add_(reach)
    for o, d, lost in ((ox, dx, boxes.taper[..., :1]), (oz, dz, boxes.taper[..., 1:])):
        # Two planes that lean towards each other: each bounds the ray from the side that it comes from.
        base, steep = 0.5 * lost * (1.0 + oy) - 1.0, 0.5 * lost * dy
        for sign in (1.0, -1.0):
            slope = torch.add(steep, d, alpha=sign)
            # Along a plane this is infinite, as it should be.
            meet = -(base + sign * o) / slope
            falling = slope < 0.0
            enter = torch.where(falling, torch.maximum(enter, meet), enter)
            leave = torch.where(falling, leave, torch.minimum(leave, meet))
    return enter, leave


def turned_span(rays: Rays, solids: Posed) -> tuple[Tensor, Tensor]:
    """Return enter and leave parameters of solids of revolution, B x R x N each; leave <= enter where a ray misses."""
    assert solids.profile is not None
    origin, ahead, _ = to_unit(rays, solids)
    return _revolved(origin, ahead, solids.profile)


def standing_span(rays: Rays, solids: Standing) -> tuple[Tensor, Tensor]:
    """Return enter and leave parameters of upright solids of revolution, B x S x N each; leave <= enter for a miss."""
    origin, ahead = _upright(rays, solids)
    return _revolved(origin, ahead, solids.profile, _swell(rays, solids))


def ball_span(rays: Rays, balls: Standing) -> tuple[Tensor, Tensor]:
    """Return enter and leave parameters of upright ellipsoids, B x A x N each; equal where a ray misses."""
    (ox, oy, oz), (dx, dy, dz) = _upright(rays, balls)
    inv = torch.addcmul(dx * dx, dy, dy).addcmul_(dz, dz).reciprocal_()
    middle = torch.addcmul(dx * ox, dy, oy).addcmul_(dz, oz).mul_(inv).neg_()
    # From where the ray is nearest to the middle of the ball: the usual formula loses far balls' digits.
    px, py, pz = torch.addcmul(ox, middle, dx), torch.addcmul(oy, middle, dy), torch.addcmul(oz, middle, dz)
    near = torch.addcmul(px * px, py, py).addcmul_(pz, pz)
    swell = _swell(rays, balls)
    room = 1.0 - near if swell is None else torch.addcmul(1.0 - near, swell, swell + 2.0)
    half = room.mul_(inv).clamp_(min=0.0).sqrt_()
    return middle - half, middle + half


_Three = tuple[Tensor, Tensor, Tensor]


def _upright(rays: Rays, solids: Standing) -> tuple[_Three, _Three]:
    """Carry rays into the units of solids that need no turn."""
    scale = solids.half.reciprocal()
    ox, oy, oz = ((rays.origin_B3[:, None] - solids.center) * scale)[..., None].unbind(2)
    sx, sy, sz = scale[..., None].unbind(2)
    return (ox, oy, oz), (sx * rays.x_BN[:, None], sy * rays.y_BN[:, None], sz * rays.z_BN[:, None])


def _swell(rays: Rays, solids: Standing) -> Tensor | None:
    """Return what rays find added to the radii, B x K x N."""
    if rays.ripple_BLN is None:
        return None
    first, *rest = solids.ragged[..., None].unbind(2)
    swell = first * rays.ripple_BLN[:, 0, None]
    for level, share in enumerate(rest, start=1):
        swell.addcmul_(share, rays.ripple_BLN[:, level, None])
    return swell


def _revolved(
    origin: tuple[Tensor, Tensor, Tensor],
    ahead: tuple[Tensor, Tensor, Tensor],
    profile: Tensor,
    swell: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the span of rays in the solids' own axes and units. swell: what rays find added to the radius 1."""
    (ox, oy, oz), (dx, dy, dz) = origin, ahead
    square, linear, constant = profile[..., None].unbind(2)
    a = torch.addcmul(dx * dx, dz, dz).addcmul_(square * dy, dy)
    b = torch.addcmul(dx * ox, dz, oz).addcmul_(dy, square * oy + 0.5 * linear)
    c = ox * ox + oz * oz + square * oy * oy + linear * oy + constant
    if swell is not None:
        c = torch.addcmul(c, swell, swell + 2.0, value=-1.0)
    disc = torch.addcmul(b * b, a, c, value=-1.0)
    # Both roots without cancellation: one by the usual formula, the other from their product.
    total = disc.clamp(min=0.0).sqrt_().copysign_(b).add_(b)
    first = total * _inverse(a).neg_()
    second = torch.where(disc > 0.0, _inverse(total).mul_(-c), first)
    near, far = torch.minimum(first, second), torch.maximum(first, second)
    # A steep ray meets both halves of a double cone: what is kept is the piece on this side of the tip.
    both, upward = a < 0.0, dy * linear > 0.0
    enter = torch.where(both, torch.where(upward, -torch.inf, far), near)
    leave = torch.where(both, torch.where(upward, near, torch.inf), far)
    inv = _inverse(dy)
    middle, reach = inv * -oy, inv.abs()
    return torch.maximum(enter, middle - reach), torch.minimum(leave, middle + reach)
