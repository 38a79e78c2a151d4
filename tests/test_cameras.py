"""One convention of cameras: a point seen at a pixel is seen at that pixel, whatever becomes of the picture."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from kdcli.cameras import crop_camera, mirror_camera, resize_camera, roll_camera, turn_camera
from kdcli.convert.resizing import resized
from kdcli.evals.batches import prepare
from kdcli.evals.crops import Frame
from kdcli.evals.protocol import Protocol
from kdcli.images import turn
from kdcli.sources.cuts import Cut
from kdcli.training.batches.geometry import centre_crop, mirror, turn_and_crop
from kdcli.training.batches.joining import as_batch, resize_batch
from kdcli.types import Batch, Sample

HEIGHT, WIDTH = 24, 36
CAMERA = (41.0, 37.0, 14.2, 9.6)
Seen = tuple[Tensor, Tensor]
"""A camera, 4, and a map of depth, H x W, no two pixels of which are alike."""


def item() -> Sample:
    depth = 1 + torch.arange(1.0, HEIGHT * WIDTH + 1).view(1, HEIGHT, WIDTH) / 512
    return Sample(id="a", image=(depth / 4).expand(3, -1, -1).contiguous(), depth=depth, valid=depth > 0,
                  intrinsics=torch.tensor(CAMERA))  # fmt: skip


def points(camera: Tensor, depth: Tensor) -> Tensor:
    """What is seen at each pixel: right, down, forward, H x W x 3."""
    fx, fy, cx, cy = camera.double().tolist()
    rows, columns = torch.meshgrid(*(torch.arange(float(side)) for side in depth.shape), indexing="ij")
    return torch.stack([(columns - cx) / fx * depth, (rows - cy) / fy * depth, depth.double()], dim=-1)


def missed(seen: Seen, moved: Callable[[Tensor], Tensor] = lambda point: point) -> Tensor:
    """How many pixels beside its pixel each point is seen, N x 2 (right, down); moved: where points are afterwards."""
    camera, depth = seen
    before = item()
    assert before.depth is not None and before.intrinsics is not None
    flat = points(before.intrinsics, before.depth[0]).flatten(0, 1)
    rows, columns = (depth > 0).nonzero().unbind(1)
    came = ((depth[rows, columns] - 1) * 512).round().long() - 1
    x, y, z = moved(flat[came]).unbind(1)
    fx, fy, cx, cy = camera.double().tolist()
    return torch.stack([fx * x / z + cx - columns, fy * y / z + cy - rows], dim=1)


def of_batch(batch: Batch) -> Seen:
    assert batch.intrinsics is not None and batch.depth is not None
    return batch.intrinsics[0], batch.depth[0, 0]


def of_sample(sample: Sample) -> Seen:
    return of_batch(as_batch(sample))


def measured(**rules: object) -> Seen:
    made = prepare(as_batch(item()), Protocol(name="x", max_depth=None, **rules))  # type: ignore[arg-type]
    assert made.camera is not None
    return made.camera[0], made.depth[0, 0]


THIRD = (HEIGHT // 3, WIDTH // 3)  # of three by three pixels the middle one is taken
PARTS: dict[str, Callable[[], Seen]] = {
    "nothing": lambda: of_sample(item()),
    "training: shrunk": lambda: of_batch(resize_batch(as_batch(item()), THIRD)),
    "training: stretched": lambda: of_batch(resize_batch(as_batch(item()), (HEIGHT // 3, WIDTH))),
    "training: a window": lambda: of_batch(
        turn_and_crop(as_batch(item()), crop=(11, 17), generator=torch.Generator().manual_seed(3))
    ),
    "training: the middle": lambda: of_batch(centre_crop(as_batch(item()), (11, 17))),
    "source: a cut": lambda: of_sample(Cut(name="x", size=(11, 17), corner=(5, 3)).apply(item())),
    "source: the bottom": lambda: of_sample(Cut(name="x", size=(11, 17)).apply(item())),
    "conversion: shrunk": lambda: of_sample(resized(item(), THIRD)),
    "evaluation: the middle rows": lambda: measured(band=0.5),
    "evaluation: a frame": lambda: measured(frame=Frame(height=11, width=17)),
    "evaluation: stretched": lambda: measured(frame=Frame(height=THIRD[0], width=THIRD[1], stretch=True)),
    "evaluation: shrunk and cut": lambda: measured(frame=Frame(height=5, width=7, short_side=THIRD[0])),
    "evaluation: cut and shrunk": lambda: measured(frame=Frame(height=15, width=21, then=(5, 7))),
}


@pytest.mark.parametrize("part", PARTS)
def test_points_stay_at_their_pixels(part: str) -> None:
    seen = PARTS[part]()
    assert missed(seen).abs().max() < 1e-4
    wrong = seen[0] + torch.tensor([0.0, 0.0, 0.5, 0.5])
    assert missed((wrong, seen[1])).mean(0) == pytest.approx([0.5, 0.5], abs=1e-4)  # the test tells half a pixel


def test_enlarged_pixels_lie_about_their_point() -> None:
    away = missed(of_batch(resize_batch(as_batch(item()), (3 * HEIGHT, 3 * WIDTH))))
    assert away.mean(0) == pytest.approx([0, 0], abs=1e-4) and away.abs().max() < 1 + 1e-4


def test_mirrored_points_stay_at_their_pixels() -> None:
    plain = as_batch(item())
    drawn = (mirror(plain, torch.Generator().manual_seed(seed)) for seed in range(99))
    seen = of_batch(next(batch for batch in drawn if not torch.equal(batch.image, plain.image)))
    assert missed(seen, lambda point: point * torch.tensor([-1, 1, 1])).abs().max() < 1e-4


@pytest.mark.parametrize("crop", [None, (11, 17)])
def test_rolled_points_stay_at_their_pixels(crop: tuple[int, int] | None) -> None:
    batch = as_batch(item())
    square = torch.tensor([[40.0, 40.0, *CAMERA[2:]]])
    for seed in range(5):
        made = turn_and_crop(Batch(ids=("a",), image=batch.image, depth=batch.depth, intrinsics=square), rotate=20.0,
                             crop=crop, generator=torch.Generator().manual_seed(seed))  # fmt: skip
        draws = torch.rand(1, 2, generator=torch.Generator().manual_seed(seed))
        angle = (2 * draws[0, 1] - 1).mul(20).deg2rad()
        spin = torch.tensor([[angle.cos(), -angle.sin(), 0], [angle.sin(), angle.cos(), 0], [0, 0, 1]]).double()
        # The points of item() are of another focal length: bring them to this one's.
        scale = torch.tensor([CAMERA[0] / 40, CAMERA[1] / 40, 1])
        away = missed(of_batch(made), lambda point, spin=spin, scale=scale: (point * scale) @ spin.mT)
        # The nearest pixel is taken: up to half a diagonal away, and nothing on average of a whole frame.
        assert away.norm(dim=1).max() < 0.72
        assert crop is not None or away.mean(0) == pytest.approx([0, 0], abs=0.04)


TURNS = {1: (1, 2), 2: (-1, 2), 3: (-1, -2), 4: (1, -2), 5: (2, 1), 6: (-2, 1), 7: (-2, -1), 8: (2, -1)}
"""By orientation: what becomes right and down of 1 right, 2 down."""


@pytest.mark.parametrize("how", TURNS)
def test_points_of_turned_pictures_stay_at_their_pixels(how: int) -> None:
    before = item()
    assert before.depth is not None
    seen = torch.tensor(turn_camera(CAMERA, how, (HEIGHT, WIDTH))), turn(before.depth[0], how)

    def moved(point: Tensor) -> Tensor:
        axes = [point[:, abs(axis) - 1] * (1 if axis > 0 else -1) for axis in TURNS[how]]
        return torch.stack([*axes, point[:, 2]], dim=1)

    assert missed(seen, moved).abs().max() < 1e-4


def test_tuples_and_tensors_say_the_same() -> None:
    own, batch, size = torch.tensor(CAMERA), torch.tensor([CAMERA, CAMERA[::-1]]), (HEIGHT, WIDTH)
    assert resize_camera(CAMERA, size, size) is CAMERA and resize_camera(own, size, size) is own
    for changed in (
        lambda camera: resize_camera(camera, size, (11, 50)), lambda camera: crop_camera(camera, 5, 3),
        lambda camera: mirror_camera(camera, WIDTH), lambda camera: turn_camera(camera, 7, size),
    ):
        wanted = torch.tensor(changed(CAMERA))
        assert isinstance(changed(CAMERA), tuple)
        torch.testing.assert_close(changed(own), wanted)
        torch.testing.assert_close(changed(batch)[0], wanted)
    middle = ((WIDTH - 1) / 2, (HEIGHT - 1) / 2)
    straight = torch.tensor([[40.0, 40.0, *middle]])
    assert resize_camera(straight, size, (11, 50))[0, 2:].tolist() == pytest.approx([24.5, 5])
    assert mirror_camera(straight, WIDTH).equal(straight)
    torch.testing.assert_close(roll_camera(straight, torch.tensor([0.7]), size), straight)
