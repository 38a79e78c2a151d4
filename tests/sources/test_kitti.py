"""``kitti:`` reads the raw and annotated trees, with frames that have no ground truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from kdcli.errors import DataError
from kdcli.protocols import Source
from kdcli.sources import load_source
from kdcli.sources.checks import survey
from kdcli.sources.lists import read_list
from kdcli.types import DepthKind

DAY, DRIVE = "2011_09_26", "2011_09_26_drive_0001_sync"


def image_of(i: int, camera: str = "02") -> str:
    return f"{DAY}/{DRIVE}/image_{camera}/data/{i:010}.png"


def depth_of(i: int, camera: str = "02") -> str:
    return f"{DRIVE}/proj_depth/groundtruth/image_{camera}/{i:010}.png"


def fill(raw: Path, annotated: Path, photo: Any, depth16: Any) -> None:
    for i in range(3):
        photo(raw / image_of(i), 12, 40, seed=i)
    depth16(annotated / depth_of(1), 2560, 12, 40)


ROWS = f"{image_of(0)} None 700\n{image_of(1)} {depth_of(1)} 700\n"


@pytest.mark.parametrize(
    ("raw", "annotated"),
    [("raw", "data_depth_annotated/train"), (".", "data_depth_annotated/val"), ("kitti/raw", "gts"), (".", ".")],
)
def test_trees_are_found_below_the_root(tmp_path: Path, photo: Any, depth16: Any, raw: str, annotated: str) -> None:
    fill(tmp_path / raw, tmp_path / annotated, photo, depth16)
    (tmp_path / "mini_files_with_gt.txt").write_text(ROWS)
    source = load_source(f"kitti:{tmp_path}")
    assert isinstance(source, Source) and source.depth_kind is DepthKind.METRIC and len(source) == 2
    first, second = source[0], source[1]
    assert first.depth is None and first.valid is None and first.id == image_of(0)
    assert second.depth is not None and second.depth.mean() == 10.0
    assert second.intrinsics is not None and second.intrinsics.tolist() == [700, 700, 19.5, 5.5]
    assert not [f for f in source.check() if f.level == "error"]
    assert [load_source(f"kitti:{tmp_path},gt=only")[0].id] == [image_of(1)]


def test_both_annotated_splits_are_used(tmp_path: Path, photo: Any, depth16: Any) -> None:
    fill(tmp_path / "raw", tmp_path / "data_depth_annotated" / "val", photo, depth16)
    other = "2011_09_26_drive_0002_sync"
    photo(tmp_path / "raw" / image_of(0).replace(DRIVE, other), 12, 40)
    depth16(tmp_path / "data_depth_annotated" / "train" / depth_of(0).replace(DRIVE, other), 512, 12, 40)
    rows = f"{ROWS}{image_of(0).replace(DRIVE, other)} {depth_of(0).replace(DRIVE, other)} 700\n"
    (tmp_path / "mini_files_with_gt.txt").write_text(rows)
    samples = [load_source(f"kitti:{tmp_path}")[i] for i in range(3)]
    assert [None if s.depth is None else s.depth.mean().item() for s in samples] == [None, 10.0, 2.0]


def test_trees_that_lie_elsewhere(tmp_path: Path, photo: Any, depth16: Any) -> None:
    fill(tmp_path / "a", tmp_path / "b" / "train", photo, depth16)
    root = tmp_path / "lists"
    root.mkdir()
    (root / "mini_files_with_gt.txt").write_text(ROWS)
    with pytest.raises(DataError, match="none of the images"):
        load_source(f"kitti:{root}")
    with pytest.raises(DataError, match="none of the depth maps"):
        load_source(f"kitti:{root},images={tmp_path}/a")
    assert load_source(f"kitti:{root},images={tmp_path}/a,depths={tmp_path}/b")[1].depth is not None
    with pytest.raises(DataError, match="'nope'"):
        load_source(f"kitti:{root},images=nope")


def test_the_calibration_of_the_day_is_scaled_to_the_image(tmp_path: Path, photo: Any, depth16: Any) -> None:
    fill(tmp_path, tmp_path, photo, depth16)
    photo(tmp_path / image_of(0, "03"), 12, 40)
    calibration = "calib_time: 09-Jan-2012 13:57:47\nS_rect_02: 80 24\nP_rect_02: 100 0 41 4 0 90 13 5 0 0 1 6\n"
    (tmp_path / DAY / "calib_cam_to_cam.txt").write_text(calibration)
    (tmp_path / "l.txt").write_text(f"{ROWS}{image_of(0, '03')} None 650")
    source = load_source(f"kitti:{tmp_path},list=l.txt")
    cameras = [source[i].intrinsics for i in range(3)]
    assert [c.tolist() for c in cameras if c is not None] == [[50, 45, 20.25, 6.25]] * 2 + [[650, 650, 19.5, 5.5]]


def test_without_a_list_frames_are_scanned(tmp_path: Path, photo: Any, depth16: Any) -> None:
    fill(tmp_path / "raw", tmp_path / "annotated" / "train", photo, depth16)
    source = load_source(f"kitti:{tmp_path}")
    assert [source[i].depth is not None for i in range(3)] == [False, True, False]
    assert source[0].intrinsics is None
    assert len(load_source(f"kitti:{tmp_path},gt=only")) == 1
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no list"):
        load_source(f"kitti:{tmp_path}/empty")


def test_raw_images_kept_as_jpg(tmp_path: Path, photo: Any, depth16: Any) -> None:
    fill(tmp_path, tmp_path, photo, depth16)
    for i in range(2):
        (tmp_path / image_of(i)).unlink()
        photo((tmp_path / image_of(i)).with_suffix(".jpg"), 12, 40)
    (tmp_path / "mini_files_with_gt.txt").write_text(ROWS)
    assert load_source(f"kitti:{tmp_path}")[1].image.shape == (3, 12, 40)


def test_only_frames_without_ground_truth(tmp_path: Path, photo: Any, depth16: Any) -> None:
    fill(tmp_path, tmp_path, photo, depth16)
    (tmp_path / "l.txt").write_text(f"{image_of(0)} None 700\n")
    assert load_source(f"kitti:{tmp_path},list=l.txt").depth_kind is None
    with pytest.raises(DataError, match="no frame with ground truth"):
        load_source(f"kitti:{tmp_path},list=l.txt,gt=only")


def test_real_frames(shared: Path) -> None:
    source = load_source(f"kitti:{shared}/data/kitti")
    report = survey(source)
    assert report.n == 4 and report.sizes == {"375x1242": 4} and report.errors == 0
    assert report.depth is not None and report.depth["holes"] == pytest.approx(0.8, abs=0.01)
    assert [sample.depth is None for sample in map(source.__getitem__, range(4))] == [True, False, True, False]
    sample = source[1]
    assert sample.valid is not None and sample.depth is not None
    # 90728 pixels between 1 mm and 80 m is the published count of this frame.
    assert ((sample.depth > 0.001) & (sample.depth < 80) & sample.valid).sum().item() == 90728
    assert sample.intrinsics is not None
    assert torch.allclose(sample.intrinsics, torch.tensor([721.5377, 721.5377, 609.5593, 172.8540]))


def test_real_list_with_frames_without_ground_truth(shared: Path) -> None:
    lines = read_list(shared / "data/splits/adabins_bts/kitti_eigen_test_files_with_gt.txt")
    assert len(lines) == 697 and sum(line.depth is None for line in lines) == 45
