"""Fixed crops move image, depth, ids and camera together, and say where they do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from kdcli.errors import DataError, SpecError
from kdcli.sources import load_source
from kdcli.sources.checks import survey
from kdcli.sources.cuts import KITTI_BENCHMARK, NYU_BORDER, Cut
from kdcli.types import Sample


def frame(height: int, width: int) -> Sample:
    place = torch.arange(height * width).view(1, height, width)
    return Sample(
        id="a/b.png", image=(place / (height * width)).expand(3, -1, -1), depth=place.float(), valid=place % 2 > 0,
        instances=place[0], intrinsics=torch.tensor([700.0, 710.0, 600.0, 180.0]),
    )


@pytest.mark.parametrize(
    ("cut", "size", "corner"),
    [
        (KITTI_BENCHMARK, (375, 1242), (23, 13)),
        (KITTI_BENCHMARK, (370, 1224), (18, 4)),
        (NYU_BORDER, (480, 640), (45, 43)),
    ],
)
def test_everything_is_cut_alike(cut: Cut, size: tuple[int, int], corner: tuple[int, int]) -> None:
    before = frame(*size)
    after = cut.apply(before)
    first = corner[0] * size[1] + corner[1]
    assert after.instances is not None and after.depth is not None and after.valid is not None
    assert after.instances[0, 0] == first and after.instances.shape == cut.size
    assert torch.equal(after.depth[0], after.instances.float())
    assert torch.equal(after.image[0], after.instances / (size[0] * size[1]))
    assert torch.equal(after.valid[0], after.instances % 2 > 0)
    assert after.intrinsics is not None
    assert after.intrinsics.tolist() == [700.0, 710.0, 600.0 - corner[1], 180.0 - corner[0]]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match=r"'a/b.png' is 640x240 .*crop=kb takes 1216x352"):
        KITTI_BENCHMARK.apply(frame(240, 640))
    with pytest.raises(DataError, match=r"crop=border is for 640x480"):
        NYU_BORDER.apply(frame(500, 700))
    small = frame(480, 640)
    with pytest.raises(DataError, match=r"its depth is 320x240; crop=border needs equal sizes"):
        NYU_BORDER.apply(Sample(id=small.id, image=small.image, depth=torch.ones(1, 240, 320)))


def test_sources_take_them(tmp_path: Path, photo: Any, depth16: Any) -> None:
    photo(tmp_path / "rgb_1.png", 480, 640)
    depth16(tmp_path / "sync_depth_1.png", 2000, 480, 640)
    source, whole = load_source(f"nyu:{tmp_path},crop=border"), load_source(f"nyu:{tmp_path}")
    sample, full = source[0], whole[0]
    assert torch.equal(sample.image, full.image[:, 45:472, 43:608]) and survey(source).sizes == {"427x565": 1}
    assert sample.intrinsics is not None and full.intrinsics is not None
    assert (full.intrinsics - sample.intrinsics).tolist() == [0, 0, 43, 45]
    with pytest.raises(SpecError, match="border"):
        load_source(f"nyu:{tmp_path},crop=kb")


def test_real_kitti_frames(shared: Path) -> None:
    source = load_source(f"kitti:{shared}/data/kitti,crop=kb")
    report = survey(source)
    assert report.sizes == {"352x1216": 4} and report.errors == 0
    camera = source[1].intrinsics
    assert camera is not None and torch.allclose(camera, torch.tensor([721.5377, 721.5377, 596.5593, 149.8540]))


def test_real_nyu_frames(shared: Path) -> None:
    report = survey(load_source(f"nyu:{shared}/data/nyu_depth_v2,crop=border"))
    assert set(report.sizes) == {"427x565"} and report.errors == 0
