"""The camera: rays of a view, the choice among candidate views, and what a lens and a sensor do to an image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from kdcli.sources.sim.hashing import pixel_noise
from kdcli.sources.sim.primitives import nearest_hit
from kdcli.sources.sim.rays import Rays
from kdcli.sources.sim.scene import FACES, FLOOR, Geometry, Photo, View

_LUMINANCE = (0.30, 0.59, 0.11)
_NEAR = 0.8
"""Metres: what is nearer fills the picture."""


def intrinsics(view: View, size: tuple[int, int]) -> Tensor:
    """Return fx, fy, cx, cy in pixels, B x 4: all worlds look through the middle of the picture."""
    height, width = size
    focal = (0.5 * width) / view.across(size)
    middle = (torch.full_like(focal, 0.5 * (side - 1)) for side in (width, height))
    return torch.stack((focal, focal, *middle), dim=1)


def axes(view: View) -> tuple[Tensor, Tensor, Tensor]:
    """Return the right, up and forward directions of views, B x 3 each."""
    sin_yaw, cos_yaw = view.yaw_B.sin(), view.yaw_B.cos()
    sin_pitch, cos_pitch = view.pitch_B.sin(), view.pitch_B.cos()
    sin_roll, cos_roll = view.roll_B.sin()[:, None], view.roll_B.cos()[:, None]
    forward = torch.stack((sin_yaw * cos_pitch, sin_pitch, cos_yaw * cos_pitch), dim=1)
    right = torch.stack((cos_yaw, torch.zeros_like(cos_yaw), -sin_yaw), dim=1)
    up = torch.stack((-sin_yaw * sin_pitch, cos_pitch, -cos_yaw * sin_pitch), dim=1)
    return right * cos_roll + up * sin_roll, up * cos_roll - right * sin_roll, forward


def view_rays(view: View, size: tuple[int, int]) -> Rays:
    """Return one ray a pixel with a forward component of exactly 1: its parameter is the z-depth."""
    height, width = size
    device = view.yaw_B.device
    right, up, forward = axes(view)
    step = 2.0 * view.across(size) / width
    column = step[:, None] * (torch.arange(width, device=device) + (0.5 - 0.5 * width))
    row = step[:, None] * (torch.arange(height, device=device) + (0.5 - 0.5 * height))
    planes = [
        (
            forward[:, k, None, None]
            + right[:, k, None, None] * column[:, None]
            - up[:, k, None, None] * row[..., None]
        ).flatten(1)
        for k in range(3)
    ]
    return Rays(origin_B3=view.position_B3, x_BN=planes[0], y_BN=planes[1], z_BN=planes[2])


def clearance(geometry: Geometry, position_B3: Tensor, margin: float) -> Tensor:
    """Return how far positions are from the bounds of every solid and of the shell, less a margin; negative = inside.

    The bounds are boxes in each solid's own frame, so this errs on the careful side for round things. B.
    """
    boxes = geometry.boxes
    batch = len(position_B3)
    cos, sin = boxes.yaw.cos(), boxes.yaw.sin()
    delta = position_B3[:, None] - geometry.pivot_BG3
    local = torch.stack(
        (cos * delta[..., 0] - sin * delta[..., 2], delta[..., 1], sin * delta[..., 0] + cos * delta[..., 2]), dim=-1
    )
    gaps = [((local[:, :, None] - boxes.center).abs() - boxes.half).amax(-1).reshape(batch, -1)]
    for solids in (geometry.ellipsoids, geometry.cylinders):
        reach = solids.half.clone()
        reach[..., 0::2] = solids.half[..., 0::2].amax(-1, keepdim=True)
        gaps.append(((position_B3[:, None] - solids.center).abs() - reach).amax(-1))
    for posed in (geometry.tilted, geometry.turned, geometry.tapered):
        if posed is not None:
            own = (posed.turn * (position_B3[:, None] - posed.center)[:, :, None]).sum(-1)
            gaps.append((own.abs() - posed.half).amax(-1))
    upright = [solids for solids in (geometry.standing, geometry.balls) if solids is not None]
    gaps.extend(((position_B3[:, None] - solids.center).abs() - solids.half).amax(-1) for solids in upright)
    half = geometry.room_B3 * 0.5
    center = torch.stack((torch.zeros_like(half[:, 0]), half[:, 1], torch.zeros_like(half[:, 0])), dim=1)
    gaps.append((half - (position_B3 - center).abs()).amin(-1, keepdim=True))
    return torch.cat(gaps, dim=1).amin(1) - margin


def choose_view(
    geometry: Geometry, candidates: View, count: int, *, margin: float, floor: float, objects: float
) -> View:
    """Keep, for each scene, the first of ``count`` candidate views that sees something, or else the best of them.

    candidates hold B * count views, those of one scene beside each other. A view is good when the camera stands free by
    a margin in metres, hardly anything in it is very near, it is not a close-up of a wall, and the floor and the
    objects fill at least these shares of it.
    """
    batch = len(geometry.room_B3)
    device = geometry.room_B3.device
    rows = torch.arange(batch, device=device).repeat_interleave(count)
    repeated = geometry.select(rows)
    gap = clearance(repeated, candidates.position_B3, margin)
    depth, index = nearest_hit(view_rays(candidates, (6, 8)), repeated)
    solids = geometry.ids_BP.shape[1]
    floor_share = (index == solids + FLOOR).float().mean(1)
    shell = torch.zeros_like(repeated.ids_BP[:, :1]).expand(-1, FACES)
    object_share = (torch.cat((repeated.ids_BP, shell), dim=1).gather(1, index) > 0).float().mean(1)
    near = (depth < _NEAR).float().mean(1)
    reach = depth.mean(1)
    order = torch.arange(count, device=device).repeat(batch)
    good = (gap > 0.0) & (near < 0.08) & (reach > 1.6) & (floor_share >= floor) & (object_share >= objects)
    # Standing inside something is worst, then a blocked picture, then one that shows little.
    seen = (floor_share / floor).clamp(max=1.0) + (object_share / objects).clamp(max=1.0)
    fallback = gap.clamp(max=0.0) * 100.0 - 10.0 * near + reach.clamp(max=2.0) + seen
    score = torch.where(good, 100.0 - order, fallback)
    best = score.view(batch, count).argmax(1)
    return candidates.map(best + torch.arange(batch, device=device) * count)


def photograph(light_B3HW: Tensor, photo: Photo | None, keys_B: Tensor) -> Tensor:
    """Turn scene light into an image in 0..1: exposure, balance, vignetting, blur, noise, gamma.

    Without a photo the camera is perfect and the light is only clipped.
    """
    if photo is None:
        return light_B3HW.clamp(0.0, 1.0)
    height, width = light_B3HW.shape[-2:]
    device = light_B3HW.device
    weights = torch.tensor(_LUMINANCE, device=device)[:, None, None]
    mean = (light_B3HW.clamp(max=2.0) * weights).sum(1).mean((1, 2)).clamp(min=1e-3)
    gain = (photo.exposure_B / mean)[:, None] * photo.balance_B3
    x = (torch.arange(width, device=device) + 0.5) / width - 0.5
    y = (torch.arange(height, device=device) + 0.5) / height - 0.5
    radius = (x * x)[None] + (y * y)[:, None]
    falloff = 1.0 - 2.0 * photo.vignette_B[:, None, None] * radius
    image = _blur(light_B3HW * gain[..., None, None] * falloff[:, None], photo.blur_B)
    noise = pixel_noise(keys_B, height * width).view_as(image)
    # Shot noise grows with the square root of the light; the constant is the sensor's own.
    image = image + noise * photo.noise_B[:, None, None, None] * (image.clamp(min=0.0) + 0.02).sqrt()
    # A shoulder instead of hard clipping, then gamma.
    image = image.clamp(min=1e-4)
    image = image * (1.0 + 0.15 * image) / (1.0 + 0.45 * image)
    curved = image.pow_(1.0 / 2.2) if photo.curve_B is None else image.pow(photo.curve_B[:, None, None, None])
    return curved.clamp_(0.0, 1.0)


def _blur(image: Tensor, sigma_B: Tensor) -> Tensor:
    """Blur with three taps along each axis; sigma in pixels."""
    side = torch.exp(-0.5 / sigma_B.clamp(min=0.05).square())[:, None, None, None]
    norm = 1.0 / (1.0 + 2.0 * side)
    padded = F.pad(image, (1, 1, 1, 1), mode="replicate")
    across = (padded[..., 1:-1] + side * (padded[..., :-2] + padded[..., 2:])) * norm
    return (across[..., 1:-1, :] + side * (across[..., :-2, :] + across[..., 2:, :])) * norm
