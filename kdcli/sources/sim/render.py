"""Render batches of simulated scenes: keys, scene, rays, hits, light, photograph, all on one device."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from kdcli.sources.sim.blocks import blocks
from kdcli.sources.sim.camera import intrinsics, photograph, view_rays
from kdcli.sources.sim.finish import paint
from kdcli.sources.sim.frames import surface_frames
from kdcli.sources.sim.hashing import scene_keys
from kdcli.sources.sim.interiors import interiors
from kdcli.sources.sim.primitives import nearest_hit
from kdcli.sources.sim.rooms import rooms
from kdcli.sources.sim.scene import Lamps, Lighting, Scene
from kdcli.sources.sim.shade import albedo, light, surface_frame
from kdcli.sources.sim.streets.world import streets
from kdcli.sources.sim.walks import noise_keys, walked
from kdcli.types import Batch

WORLDS: dict[str, Callable[[Tensor], Scene]] = {
    "rooms": rooms,
    "blocks": blocks,
    "interiors": interiors,
    "streets": streets,
}


def render(
    world: str,
    seed: int,
    indices: Tensor,
    size: tuple[int, int],
    device: torch.device | str = "cpu",
    *,
    views: int | None = None,
) -> Batch:
    """Render scenes of a world at a size (height, width).

    indices: (B,) int64 scene numbers; each scene depends on (world, seed, index) alone. With ``views`` every scene has
    so many images, taken on a walk through it: image i is view i % views of scene i // views. The depth is metric
    z-depth, 0 where it is not valid: the sky, and what is nearer or farther than a world outdoors reaches.
    """
    ids = tuple(f"{world}/{seed}/" + named(index, views) for index in indices.tolist())
    with torch.no_grad():
        numbers = indices.to(device=device, dtype=torch.int64)
        keys = scene_keys(world, seed, numbers if views is None else numbers // views)
        scene = WORLDS[world](keys)
        noise = keys
        if views is not None:
            scene, noise = walked(scene, numbers % views, views), noise_keys(scene, numbers % views)
        image, depth, instances = draw(scene, size, noise)
        valid = torch.ones_like(depth, dtype=torch.bool)
        if scene.outdoors is not None:
            near, far = scene.outdoors.reach
            valid = (depth >= near) & (depth <= far)
            depth = torch.where(valid, depth, 0.0)
        return Batch(
            ids=ids,
            image=image,
            depth=depth,
            valid=valid,
            instances=instances,
            intrinsics=intrinsics(scene.view, size),
            labelled=torch.ones(len(ids), dtype=torch.bool, device=keys.device),
        )


def named(index: int, views: int | None) -> str:
    """Return what an image is called in its world: the number of its scene, and of the view where it has several."""
    return f"{index}" if views is None else f"{index // views}/{index % views}"


def draw(scene: Scene, size: tuple[int, int], noise_B: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Return image B x 3 x H x W, z-depth B x 1 x H x W in metres and instances B x H x W of a batch of scenes.

    noise_B: keys of the noise of the pictures, those of the scenes without it.
    """
    height, width = size
    geometry = scene.geometry
    batch = len(geometry.ids_BP)
    rays = view_rays(scene.view, size)
    if scene.outdoors is not None:
        rays = scene.outdoors.aim(rays)
    depth, index = nearest_hit(rays, geometry)
    origin = rays.origin_B3[..., None].unbind(1)
    planes = (rays.x_BN, rays.y_BN, rays.z_BN)
    point = tuple(torch.addcmul(o, depth, d) for o, d in zip(origin, planes, strict=True))
    posed = geometry.tilted is not None or geometry.turned is not None
    *normal, u, v = (surface_frames if posed else surface_frame)(geometry, index, point)
    # A pixel covers depth / focal across the view, and more on surfaces that are seen at a slant.
    square = sum((d * d for d in planes), torch.zeros_like(depth))
    cosine = sum((n * d for n, d in zip(normal, planes, strict=True)), torch.zeros_like(depth)).abs()
    slant = (cosine * torch.rsqrt(square)).clamp(min=0.08)
    footprint = depth * (2.0 * scene.view.across(size) / width)[:, None] * torch.rsqrt(slant)
    if isinstance(scene.lighting, Lamps):
        lit, instances = paint(scene, index, point, tuple(normal), (u, v), footprint)
    else:
        shell = torch.zeros((batch, 6), dtype=geometry.ids_BP.dtype, device=depth.device)
        instances = torch.cat((geometry.ids_BP, shell), dim=1).gather(1, index)
    if scene.outdoors is not None:
        lit = scene.outdoors.paint(scene, index, rays, point, tuple(normal), (u, v), footprint)
    elif isinstance(scene.lighting, Lighting):
        colour = albedo(scene, index, point, u, v, footprint)
        lit = colour * light(geometry, scene.lighting, point, tuple(normal))
    noise_B = scene.keys_B if noise_B is None else noise_B
    image = photograph(lit.movedim(0, 1).reshape(batch, 3, height, width), scene.photo, noise_B)
    return image, depth.view(batch, 1, height, width), instances.view(batch, height, width)
