"""What belongs to an image moves with it: told by patterns that know where each pixel came from."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import pytest
import torch
from PIL import Image
from torch import Tensor

from kdcli.training.batches.geometry import MOVES, centre_crop, mirror, turn_and_crop
from kdcli.types import Batch

COUNT, HEIGHT, WIDTH = 6, 48, 80
CROP = (32, 56)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rays(intrinsics_B4: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """x / z and y / z of every pixel's centre, B x H x W."""
    fx, fy, cx, cy = (part.view(-1, 1, 1) for part in intrinsics_B4.unbind(1))
    x, y = torch.arange(width).view(1, 1, -1), torch.arange(height).view(1, -1, 1)
    return ((x - cx) / fx).expand(-1, height, -1), ((y - cy) / fy).expand(-1, -1, width)


def bowl(across: Tensor, down: Tensor) -> Tensor:
    """A scene that looks the same however a camera rolls or is mirrored: depth by the distance from the axis."""
    return 2 + 3 * torch.hypot(across, down)


def scene() -> Batch:
    """Images whose every field tells where a pixel is; the principal point lies far off the middle."""
    camera = torch.tensor([60.0, 60.0, 33.7, 29.1]).repeat(COUNT, 1)
    depth = bowl(*rays(camera, HEIGHT, WIDTH))[:, None]
    place = torch.arange(1, HEIGHT * WIDTH + 1).view(1, HEIGHT, WIDTH).expand(COUNT, -1, -1)
    return Batch(
        ids=tuple("abcdef"),
        image=(depth / 10).expand(-1, 3, -1, -1).contiguous(),
        depth=depth,
        valid=(place % 3 > 0)[:, None],
        instances=place.contiguous(),
        intrinsics=camera,
        labelled=torch.tensor([True, False] * 3),
        taught=torch.cat([depth * 2, depth * 3], dim=1),
    )


def composed(batch: Batch, *, rotate: float = 12.0, crop: tuple[int, int] | None = CROP, taught: bool = True) -> Batch:
    draws = generator(4)
    batch = mirror(batch, draws)
    return turn_and_crop(
        batch, rotate=rotate, rotate_probability=0.7, rotate_taught=taught, crop=crop, generator=draws
    )


def test_every_field_of_a_batch_has_a_way_to_move() -> None:
    assert list(MOVES) and set(MOVES) == {f.name for f in fields(Batch)}


@pytest.mark.parametrize("rotate", [0.0, 12.0, 180.0])
@pytest.mark.parametrize("crop", [None, CROP])
def test_all_fields_agree_about_where_a_pixel_came_from(rotate: float, crop: tuple[int, int] | None) -> None:
    before = scene()
    after = composed(before, rotate=rotate, crop=crop)
    size = crop or (HEIGHT, WIDTH)
    ids, depth, valid, taught = after.instances, after.depth, after.valid, after.taught
    assert ids is not None and depth is not None and valid is not None and taught is not None
    assert ids.shape == (COUNT, *size) and after.image.shape == (COUNT, 3, *size)
    assert ids.dtype == torch.int64 and valid.dtype == torch.bool
    inside = ids > 0
    came = (ids - 1).clamp(min=0).flatten(1)
    assert before.depth is not None and before.valid is not None
    expected = before.depth.flatten(1).gather(1, came).view_as(ids)
    assert torch.equal(depth[:, 0], torch.where(inside, expected, 0))
    assert torch.equal(taught, torch.stack([depth[:, 0] * 2, depth[:, 0] * 3], dim=1))
    assert torch.equal(valid[:, 0], before.valid.flatten(1).gather(1, came).view_as(ids) & inside)
    assert after.ids == before.ids and torch.equal(after.labelled, before.labelled)  # type: ignore[arg-type]
    assert (depth[:, 0][~inside] == 0).all() and inside.float().mean() > 0.3 and (bool(rotate) or inside.all())
    if not rotate:  # what is only mirrored and cut out is the same to the bit
        assert torch.equal(after.image[:, 0], depth[:, 0] / 10)


@pytest.mark.parametrize("rotate", [0.0, 12.0, 90.0])
def test_rays_and_depth_stay_consistent(rotate: float) -> None:
    after = composed(scene(), rotate=rotate)
    assert after.intrinsics is not None and after.depth is not None and after.instances is not None
    assert torch.equal(after.intrinsics[:, :2], torch.full((COUNT, 2), 60.0))
    expected = bowl(*rays(after.intrinsics, *CROP))
    inside = after.instances > 0
    # The nearest pixel is at most half a diagonal away: 0.71 pixels, each 3 / 60 m deeper than its neighbour.
    assert (after.depth[:, 0] - expected)[inside].abs().max() < 0.71 * 3 / 60 + 1e-4
    # Images are blended: away from the border and the tip of the bowl only the curve between two pixels is missing.
    outside = torch.nn.functional.pad((~inside).float(), (1, 1, 1, 1), value=1.0)
    deep = torch.nn.functional.max_pool2d(outside, 3, 1) == 0
    smooth = deep & (expected > 2.3)
    assert (after.image[:, 0] * 10 - expected)[smooth].abs().max() < 2e-3
    wrong = bowl(*rays(after.intrinsics + torch.tensor([0.0, 0.0, 2.0, 0.0]), *CROP))
    assert (after.image[:, 0] * 10 - wrong)[smooth].abs().max() > 0.05  # the test tells a wrong camera


def test_images_that_are_not_drawn_stay_to_the_bit() -> None:
    before = scene()
    after = turn_and_crop(before, rotate=5.0, rotate_probability=0.5, generator=generator(1))
    kept = [torch.equal(after.image[i], before.image[i]) for i in range(COUNT)]
    assert 0 < sum(kept) < COUNT
    for i in range(COUNT):
        assert torch.equal(after.instances[i], before.instances[i]) is kept[i]  # type: ignore[index]


def test_a_frame_that_is_turned_away_is_black_and_unknown() -> None:
    before = replace(scene(), valid=None)
    after = turn_and_crop(before, rotate=40.0, generator=generator(2))
    assert after.valid is not None and after.instances is not None and after.depth is not None
    assert torch.equal(after.valid[:, 0], after.instances > 0)
    outside = ~after.valid
    corner = torch.nn.functional.avg_pool2d(outside.float(), 3, 1, 1) == 1
    assert corner.any() and (after.image[corner.expand(-1, 3, -1, -1)] == 0).all() and (after.depth[outside] == 0).all()


def test_a_teachers_map_can_be_left_upright() -> None:
    """The released code of TIE-KD: image and ground truth are rotated, the teacher's map is mirrored and cropped."""
    before = scene()
    turned, left = composed(before), composed(before, taught=False)
    for name in ("image", "depth", "valid", "instances", "intrinsics"):
        assert torch.equal(getattr(turned, name), getattr(left, name))
    assert left.taught is not None and turned.taught is not None
    assert left.taught.shape == turned.taught.shape and (left.taught > 0).all()
    assert not torch.equal(left.taught, turned.taught)
    # Without rotation the windows are others, so look for each among all that there can be.
    depth = before.depth
    assert depth is not None
    windows = (depth[0, 0] * 2).unfold(0, CROP[0], 1).unfold(1, CROP[1], 1).reshape(-1, *CROP)
    mirrored = (depth[0, 0].flip(-1) * 2).unfold(0, CROP[0], 1).unfold(1, CROP[1], 1).reshape(-1, *CROP)
    for i in range(COUNT):
        assert (torch.cat([windows, mirrored]) == left.taught[i, 0]).flatten(1).all(1).sum() == 1


def test_windows_reach_every_corner_and_nothing_else() -> None:
    place = torch.arange(6 * 7).view(1, 6, 7).expand(400, -1, -1).contiguous()
    batch = Batch(ids=tuple(map(str, range(400))), image=torch.zeros(400, 3, 6, 7), instances=place)
    ids = turn_and_crop(batch, crop=(4, 5), generator=generator()).instances
    assert ids is not None
    assert sorted(set(ids[:, 0, 0].tolist())) == [row * 7 + column for row in range(3) for column in range(3)]
    assert torch.equal(ids[:, -1, -1], ids[:, 0, 0] + 3 * 7 + 4)
    centre = centre_crop(batch, (4, 5)).instances
    assert centre is not None and centre[:, 0, 0].unique().tolist() == [8] and centre.shape == (400, 4, 5)
    assert centre_crop(batch, None) is batch


def test_rotation_is_that_of_an_image_library() -> None:
    picture = torch.rand(1, 1, HEIGHT, WIDTH, generator=generator(3))
    picture = torch.nn.functional.avg_pool2d(picture, 5, 1, 2)
    batch = Batch(ids=("a",), image=picture.expand(-1, 3, -1, -1), depth=picture, intrinsics=torch.ones(1, 4))
    draws = torch.rand(1, 2, generator=generator(9))
    angle = (2 * draws[0, 1].item() - 1) * 10
    assert abs(angle) > 1
    after = turn_and_crop(batch, rotate=10.0, generator=generator(9))
    frame = Image.fromarray(picture[0, 0].numpy())
    near = torch.tensor(list(frame.rotate(-angle, Image.Resampling.NEAREST).getdata())).view(HEIGHT, WIDTH)
    smooth = torch.tensor(list(frame.rotate(-angle, Image.Resampling.BILINEAR).getdata())).view(HEIGHT, WIDTH)
    assert after.depth is not None and after.valid is not None
    assert (after.depth[0, 0] == near).float().mean() > 0.995
    outside = torch.nn.functional.pad((~after.valid).float(), (1, 1, 1, 1), value=1.0)
    inner = torch.nn.functional.max_pool2d(outside, 3, 1)[0, 0] == 0
    assert (after.image[0, 0] - smooth)[inner].abs().max() < 1e-4
    assert math.isclose(after.depth[after.valid].min().item(), near[near > 0].min().item(), abs_tol=1e-6)


def test_labels_that_are_absent_stay_absent() -> None:
    bare = Batch(ids=("a", "b"), image=torch.rand(2, 3, HEIGHT, WIDTH, generator=generator()))
    after = turn_and_crop(bare, rotate=3.0, crop=CROP, generator=generator())
    assert {f.name for f in fields(Batch) if getattr(after, f.name) is None} == {
        "depth", "valid", "instances", "intrinsics", "labelled", "taught"
    }
