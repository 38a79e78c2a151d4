"""Images that begin small: at which sizes, where not, and that a run still repeats and ends at its own size."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kdcli.config import RunConfig, StageConfig, load
from kdcli.errors import ConfigError
from kdcli.sources.sim import SimSource
from kdcli.testing import toys
from kdcli.training.batches.feed import Feed
from kdcli.training.batches.growing import growing, size_at, work
from kdcli.training.loop import train as loop
from kdcli.training.run.workshop import Workshop
from kdcli.types import Batch, Prediction

CPU = torch.device("cpu")


def sizes(whole: tuple[int, int], grow: float, steps: int = 100) -> list[tuple[int, int]]:
    return [size_at(whole, grow, step / steps) for step in range(steps)]


def test_sizes_grow_from_half_in_multiples_of_32() -> None:
    found = sizes((192, 256), 0.6)
    assert found == [(96, 128)] * 20 + [(128, 160)] * 20 + [(160, 224)] * 20 + [(192, 256)] * 40


@pytest.mark.parametrize(("whole", "first"), [
    ((64, 96), (64, 96)), ((96, 128), (96, 128)), ((128, 160), (96, 128)), ((480, 640), (256, 352)),
    ((352, 1216), (192, 672)), ((375, 1242), (192, 640)), ((256, 192), (128, 96)), ((50, 70), (50, 70)),
])
def test_nothing_is_stretched_or_shrunk_below_what_a_network_can_use(
    whole: tuple[int, int], first: tuple[int, int]
) -> None:
    found = sizes(whole, 0.5)
    assert found[0] == first and found == sorted(found)
    for height, width in found:
        assert abs(math.log(width / height * whole[0] / whole[1])) < 0.081 and min(height, width) >= min(64, *whole)
    assert size_at(whole, 0.5, 0.5) == size_at(whole, 0.0, 0.0) == whole


@pytest.mark.parametrize(("whole", "grow"), [((192, 256), 0.6), ((192, 256), 0.0), ((480, 640), 1.0), ((64, 96), 0.5)])
def test_the_work_is_that_of_its_pixels(whole: tuple[int, int], grow: float) -> None:
    pixels = [height * width for height, width in sizes(whole, grow, steps=3000)]
    assert work(whole, grow) == pytest.approx(sum(pixels) / 3000 / (whole[0] * whole[1]), rel=2e-3)


def test_what_belongs_to_an_image_comes_along_and_maps_stay() -> None:
    batch = Batch(
        ids=("a",), image=torch.rand(1, 3, 192, 256), depth=torch.rand(1, 1, 192, 256) + 1,
        intrinsics=torch.tensor([[200.0, 200.0, 127.5, 95.5]]), taught=torch.rand(1, 1, 96, 128),
    )
    small = growing(batch, (192, 256), 0.5, 0.0)
    assert small.image.shape[-2:] == (96, 128) and small.depth is not None and small.depth.shape[-2:] == (96, 128)
    assert small.intrinsics is not None and small.intrinsics.tolist() == [[100.0, 100.0, 63.5, 47.5]]
    assert small.taught is batch.taught
    assert growing(batch, (192, 256), 0.5, 0.5) is batch


class Seeing(toys.ToyDepth):
    """A network that notes at which sizes it was shown images."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed=seed)
        self.sizes: list[tuple[int, int]] = []

    def forward(self, image: torch.Tensor) -> Prediction:
        self.sizes.append((int(image.shape[-2]), int(image.shape[-1])))
        return super().forward(image)


STAGE = StageConfig(
    name="s", data="sim:blocks,count=8", steps=8, batch_size=4, size=(128, 160), grow=0.5, amp="off",
    teacher_cache="memory", teachers=("t",), losses=(("log-l1", 1.0),),
)


def trained(stage: StageConfig, tmp_path: Path) -> tuple[Seeing, Seeing]:
    shop = Workshop(config=RunConfig(recipe="x", stages=(stage,)), device=CPU)
    student, teacher = Seeing(1), Seeing(2).eval()
    shop._teachers["t"] = teacher
    task, cache = shop.task(stage, student, None), shop.taught(stage)
    feed = Feed(SimSource("blocks", count=8), batch_size=4, size=stage.size, seed=1, device=CPU, taught=cache)
    loop.train(stage, task, feed, seed=1, state_file=tmp_path / "s.pt", variant="student", report=lambda log: None)
    return student, teacher


def test_the_student_begins_small_where_the_teacher_is_not_shown_it(tmp_path: Path) -> None:
    student, teacher = trained(STAGE, tmp_path)
    assert student.sizes == [(96, 128)] * 4 + [(128, 160)] * 4
    assert set(teacher.sizes) == {(128, 160)}


def test_a_teacher_that_is_asked_sees_images_as_they_are(tmp_path: Path) -> None:
    student, teacher = trained(replace(STAGE, teacher_cache="none"), tmp_path)
    assert set(student.sizes) == set(teacher.sizes) == {(128, 160)}


def test_a_share_is_one() -> None:
    with pytest.raises(ConfigError, match=r"grow=1\.5 of stage 's' must lie in 0\.\.1"):
        load("x", '[[stage]]\nname = "s"\nsteps = 1\ngrow = 1.5\n')
