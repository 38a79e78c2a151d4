"""What simulated cameras see lies where it is: floors stay planes at their height, whatever becomes of the picture."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from kdcli.cameras import resize_camera
from kdcli.sources.sim.camera import axes, view_rays
from kdcli.sources.sim.hashing import scene_keys
from kdcli.sources.sim.primitives import nearest_hit
from kdcli.sources.sim.render import WORLDS, render
from kdcli.sources.sim.scene import FLOOR, View
from kdcli.training.batches.geometry import mirror, turn_and_crop
from kdcli.types import Batch

SIZE, COUNT = (48, 80), 12
CLOSE = 2e-3
"""Metres."""


def rooms() -> tuple[Batch, View]:
    """Rooms whose ids say where their floor is."""
    numbers = torch.arange(COUNT)
    batch, scene = render("rooms", 3, numbers, SIZE), WORLDS["rooms"](scene_keys("rooms", 3, numbers))
    _, index = nearest_hit(view_rays(scene.view, SIZE), scene.geometry)
    floor = (index == scene.geometry.ids_BP.shape[1] + FLOOR).view(COUNT, *SIZE)
    assert floor.float().mean() > 0.1
    return replace(batch, instances=floor.long()), scene.view


def heights(batch: Batch, view: View, flipped: Tensor | None = None) -> Tensor:
    """How far above the floor of its room each pixel of a floor is found; flipped: images that were mirrored, B."""
    assert batch.intrinsics is not None and batch.depth is not None and batch.instances is not None
    right, up, forward = axes(view)
    upward = torch.stack([right[:, 1], -up[:, 1], forward[:, 1]], dim=1)  # of axes right, down, forward
    if flipped is not None:
        upward = torch.where(flipped[:, None], upward * torch.tensor([-1, 1, 1]), upward)
    rows, columns = (torch.arange(side) for side in batch.depth.shape[-2:])
    fx, fy, cx, cy = (part.view(-1, 1, 1) for part in batch.intrinsics.unbind(1))
    z = batch.depth[:, 0]
    x, y = (columns - cx) / fx * z, (rows[:, None] - cy) / fy * z
    found = torch.einsum("kbhw,bk->bhw", torch.stack([x, y, z]), upward) + view.position_B3[:, 1].view(-1, 1, 1)
    return found[batch.instances == 1]


def shifted(batch: Batch) -> Batch:
    assert batch.intrinsics is not None
    return replace(batch, intrinsics=batch.intrinsics + torch.tensor([0, 0, 0.5, 0.5]))


def halved(batch: Batch) -> Batch:
    """Pixels of two by two: where all are floor, their mean inverse depth is that of the plane in their middle."""
    assert batch.intrinsics is not None and batch.depth is not None and batch.instances is not None
    mean = torch.nn.functional.avg_pool2d(batch.depth.reciprocal(), 2).reciprocal()
    floor = torch.nn.functional.avg_pool2d(batch.instances[:, None].float(), 2)[:, 0] == 1
    return replace(batch, depth=mean, instances=floor.long(),
                   intrinsics=resize_camera(batch.intrinsics, SIZE, (SIZE[0] // 2, SIZE[1] // 2)))  # fmt: skip


def test_floors_are_where_they_are() -> None:
    batch, view = rooms()
    flipped = mirror(batch, torch.Generator().manual_seed(0))
    turned = (flipped.image != batch.image).flatten(1).any(1)
    assert 0 < int(turned.sum()) < COUNT
    window = turn_and_crop(batch, crop=(40, 56), generator=torch.Generator().manual_seed(1))
    for changed, which in ((batch, None), (flipped, turned), (window, None), (halved(batch), None)):
        assert heights(changed, view, which).abs().max() < CLOSE
        assert heights(shifted(changed), view, which).abs().max() > 4 * CLOSE  # the test tells half a pixel


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("size", [(24, 40), (144, 240)])
def test_a_world_has_the_camera_of_its_resized_picture(world: str, size: tuple[int, int]) -> None:
    own, other = (render(world, 0, torch.arange(3), one).intrinsics for one in (SIZE, size))
    assert own is not None and other is not None
    torch.testing.assert_close(resize_camera(own, SIZE, size), other)
    assert own[:, 2:].tolist() == [[39.5, 23.5]] * 3
