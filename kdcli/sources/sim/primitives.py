"""Ray against solids: each type gives the interval of ray parameters inside it, one rule keeps the nearest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from kdcli.sources.sim.posed import ball_span, standing_span, tapered_span, tilted_span, turned_span
from kdcli.sources.sim.rays import Rays
from kdcli.sources.sim.scene import CEILING, FLOOR, Geometry, Ground, Posed, Solids, Standing
from kdcli.sources.sim.trimming import one_by_one

_CHUNK = {"cpu": 1 << 17}
_CHUNK_ELSEWHERE = 1 << 25
_TINY = 1e-7
SKY = 1e4
"""Ray parameter of what meets nothing outdoors."""


def inverse(value: Tensor) -> Tensor:
    """Divide one by a tensor, with zeros nudged so that products with zero stay finite."""
    return torch.where(value.abs() < _TINY, _TINY, value).reciprocal_()


def slab(base: Tensor, inv: Tensor, inv_abs: Tensor, center: Tensor, half: Tensor) -> tuple[Tensor, Tensor]:
    """Return where rays enter and leave |s - center| <= half along one axis; base = -origin / direction."""
    middle = torch.addcmul(base, inv, center)
    return torch.addcmul(middle, inv_abs, half, value=-1.0), torch.addcmul(middle, inv_abs, half)


def to_local(
    rays: Rays, center_BK3: Tensor, yaw_BK: Tensor
) -> tuple[tuple[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]:
    """Turn rays into the frames of K solids: origins as three B x K x 1, directions as three B x (K or 1) x N."""
    cos, sin = yaw_BK.cos()[..., None], yaw_BK.sin()[..., None]
    offset = (rays.origin_B3[:, None] - center_BK3)[..., None]
    ox, oy, oz = offset.unbind(2)
    x, y, z = rays.x_BN[:, None], rays.y_BN[:, None], rays.z_BN[:, None]
    direction = (torch.addcmul(cos * x, sin, z, value=-1.0), y, torch.addcmul(sin * x, cos, z))
    return (cos * ox - sin * oz, oy, sin * ox + cos * oz), direction


def ellipsoid_span(rays: Rays, solids: Solids) -> tuple[Tensor, Tensor]:
    """Return enter and leave parameters, B x E x N each; equal where a ray misses."""
    origin, direction = to_local(rays, solids.center, solids.yaw)
    scale = solids.half.reciprocal()[..., None].unbind(2)
    ox, oy, oz = (o * s for o, s in zip(origin, scale, strict=True))
    dx, dy, dz = (d * s for d, s in zip(direction, scale, strict=True))
    a = torch.addcmul(torch.addcmul(dx * dx, dy, dy), dz, dz)
    b = torch.addcmul(torch.addcmul(dx * ox, dy, oy), dz, oz)
    return _quadratic(a, b, ox * ox + oy * oy + oz * oz - 1.0)


def cylinder_span(rays: Rays, solids: Solids) -> tuple[Tensor, Tensor]:
    """Return enter and leave parameters of upright cylinders, B x C x N each; leave <= enter where a ray misses."""
    origin, direction = to_local(rays, solids.center, solids.yaw)
    scale = solids.half.reciprocal()[..., None].unbind(2)
    ox, oz = origin[0] * scale[0], origin[2] * scale[2]
    dx, dz = direction[0] * scale[0], direction[2] * scale[2]
    enter, leave = _quadratic(torch.addcmul(dx * dx, dz, dz), torch.addcmul(dx * ox, dz, oz), ox * ox + oz * oz - 1.0)
    inv = inverse(direction[1])
    low, high = slab(-origin[1] * inv, inv, inv.abs(), torch.zeros_like(origin[1]), solids.half[..., 1:2])
    return torch.maximum(enter, low), torch.minimum(leave, high)


def _quadratic(a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    root = torch.addcmul(b * b, a, c, value=-1.0).clamp_(min=0.0).sqrt_()
    inv = a.clamp(min=_TINY * _TINY).reciprocal_()
    return (-b - root) * inv, (root - b) * inv


def _box_spans(rays: Rays, geometry: Geometry) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Yield (first box, enter, leave) in chunks of B x K x N; boxes of a group share the turned rays."""
    boxes = geometry.boxes
    groups, members = boxes.center.shape[1:3]
    step = _step(rays, groups * members)
    # Several groups at once only with all their members, so that a chunk numbers its boxes without a gap.
    group_step, member_step = max(1, step // members), min(step, members)
    for first in range(0, groups, group_step):
        part = slice(first, first + group_step)
        origin, direction = to_local(rays, geometry.pivot_BG3[:, part], boxes.yaw[:, part])
        inv = [inverse(d)[:, :, None] for d in direction]
        base = [-o[:, :, None] * i for o, i in zip(origin, inv, strict=True)]
        inv_abs = [i.abs() for i in inv]
        for member in range(0, members, member_step):
            center = boxes.center[:, part, member : member + member_step, :, None].unbind(3)
            half = boxes.half[:, part, member : member + member_step, :, None].unbind(3)
            spans = [slab(base[k], inv[k], inv_abs[k], center[k], half[k]) for k in range(3)]
            enter = torch.maximum(torch.maximum(spans[0][0], spans[1][0]), spans[2][0])
            leave = torch.minimum(torch.minimum(spans[0][1], spans[1][1]), spans[2][1])
            yield first * members + member, enter.flatten(1, 2), leave.flatten(1, 2)


def _spans(rays: Rays, geometry: Geometry) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Yield (number of the first solid, enter, leave) over all solids, a chunk at a time."""
    yield from _box_spans(rays, geometry)
    first = geometry.boxes.yaw.shape[1] * geometry.boxes.center.shape[2]
    for solids, span in ((geometry.ellipsoids, ellipsoid_span), (geometry.cylinders, cylinder_span)):
        count = solids.yaw.shape[1]
        step = _step(rays, count)
        for start in range(0, count, step):
            part = slice(start, start + step)
            chunk = Solids(center=solids.center[:, part], half=solids.half[:, part], yaw=solids.yaw[:, part])
            enter, leave = span(rays, chunk)
            yield first + start, enter, leave
        first += count
    posed_spans: tuple[tuple[Posed | Standing | None, Callable[[Rays, Any], tuple[Tensor, Tensor]]], ...] = (
        (geometry.tilted, tilted_span),
        (geometry.turned, turned_span),
        (geometry.tapered, tapered_span),
        (geometry.standing, standing_span),
        (geometry.balls, ball_span),
    )
    for posed, posed_span in posed_spans:
        count = 0 if posed is None else posed.center.shape[1]
        step = _step(rays, count)
        for start in range(0, count, step):
            assert posed is not None
            enter, leave = posed_span(rays, posed.select((slice(None), slice(start, start + step))))
            yield first + start, enter, leave
        first += count


def _step(rays: Rays, count: int) -> int:
    """Choose how many solids are met at once: what stays in cache on a CPU, what fills the device elsewhere."""
    budget = _CHUNK.get(rays.x_BN.device.type, _CHUNK_ELSEWHERE)
    return max(1, min(count, budget // max(1, rays.x_BN.numel())))


def shell_exit(rays: Rays, room_B3: Tensor) -> tuple[Tensor, Tensor]:
    """Return where rays leave the room (B x N) and through which of the six faces (B x N int64)."""
    half = room_B3 * 0.5
    low = torch.stack((-half[:, 0], torch.zeros_like(half[:, 1]), -half[:, 2]), dim=1)
    high = torch.stack((half[:, 0], room_B3[:, 1], half[:, 2]), dim=1)
    best, face = None, None
    for axis, plane in enumerate((rays.x_BN, rays.y_BN, rays.z_BN)):
        inv = inverse(plane)
        origin = rays.origin_B3[:, axis, None]
        positive = inv > 0
        reach = torch.where(positive, high[:, axis, None] - origin, low[:, axis, None] - origin) * inv
        this_face = positive.long() + 2 * axis
        if best is None or face is None:
            best, face = reach, this_face
        else:
            closer = reach < best
            best, face = torch.where(closer, reach, best), torch.where(closer, this_face, face)
    assert best is not None and face is not None
    return best, face


def ground_hit(rays: Rays, ground: Ground) -> tuple[Tensor, Tensor]:
    """Return where rays meet the ground (B x N; ``SKY`` where they do not) and the face that they leave through."""
    best = torch.full_like(rays.x_BN, SKY)
    oy, oz = rays.origin_B3[:, 1, None], rays.origin_B3[:, 2, None]
    last = ground.knots_BK.shape[1] - 1
    for k in range(last + 1):
        knot, slope = ground.knots_BK[:, k, None], ground.slope_BK[:, k, None]
        gap = torch.addcmul(ground.height_BK[:, k, None] - oy, slope, oz - knot)
        t = gap * inverse(torch.addcmul(rays.y_BN, slope, rays.z_BN, value=-1.0))
        z = torch.addcmul(oz, t, rays.z_BN)
        here = (t > 0.0) & (t < best)
        if k > 0:
            here = here & (z >= knot)
        if k < last:
            here = here & (z < ground.knots_BK[:, k + 1, None])
        best = torch.where(here, t, best)
    return best, torch.where(best < SKY, FLOOR, CEILING)


def _apart(rays: Rays, geometry: Geometry) -> bool:
    """Say whether the scenes of a batch are best met one by one: worlds outdoors leave much room unused."""
    return geometry.sparse and len(rays.origin_B3) > 1 and rays.x_BN.device.type == "cpu"


def nearest_hit(rays: Rays, geometry: Geometry) -> tuple[Tensor, Tensor]:
    """Return the ray parameter of the nearest surface and its number: 0 .. P-1 solids, P + face for the shell."""
    if _apart(rays, geometry):
        found = [(nearest_hit(own, solids), numbers) for own, solids, numbers in one_by_one(rays, geometry)]
        return torch.cat([hit[0] for hit, _ in found]), torch.cat([numbers.gather(1, hit[1]) for hit, numbers in found])
    ground = geometry.ground
    best, face = shell_exit(rays, geometry.room_B3) if ground is None else ground_hit(rays, ground)
    index = face + geometry.ids_BP.shape[1]
    for first, enter, leave in _spans(rays, geometry):
        inside = (enter < leave) & (enter > 0.0)
        if enter.shape[1] == 1:
            inside, enter = inside[:, 0], enter[:, 0]
            closer = inside & (enter < best)
            best = torch.where(closer, enter, best)
            index = torch.where(closer, first, index)
        else:
            value, which = torch.where(inside, enter, torch.inf).min(dim=1)
            closer = value < best
            best = torch.where(closer, value, best)
            index = torch.where(closer, which + first, index)
    return best, index


def blocked(rays: Rays, geometry: Geometry, limit: float) -> Tensor:
    """Return whether a solid lies on each ray before the parameter limit; B x N bool. The shell never blocks."""
    if _apart(rays, geometry):
        return torch.cat([blocked(own, solids, limit) for own, solids, _ in one_by_one(rays, geometry)])
    result = torch.zeros_like(rays.x_BN, dtype=torch.bool)
    for _, enter, leave in _spans(rays, geometry):
        hit = enter.clamp(min=0.0) < leave.clamp(max=limit)
        result = result | (hit[:, 0] if hit.shape[1] == 1 else hit.any(dim=1))
    return result
