"""KITTI beside its raw recordings: the selected frames, the object set, the stereo benchmarks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import trees
import trees_roads as roads

from kdcli.errors import DataError
from kdcli.sources.checks import survey
from kdcli.sources.sets.kitti_object import KittiObjectSource
from kdcli.sources.sets.kitti_selection import KittiSelectionSource
from kdcli.sources.sets.kitti_stereo import KittiStereoSource
from kdcli.types import Sample

SIZE = (12, 40)
METRES = np.linspace(2, 60, SIZE[0] * SIZE[1]).reshape(SIZE).astype(np.float32)


def metres(sample: Sample) -> np.ndarray:
    assert sample.depth is not None and sample.valid is not None
    return sample.depth[0].numpy()


def test_names_of_the_selection_differ_in_the_middle(tmp_path: Path) -> None:
    folder = roads.selection(tmp_path, METRES)
    for root in (tmp_path, tmp_path / "depth_selection", folder):
        source = KittiSelectionSource(location=str(root))
        assert len(source) == 4
        for index, camera in enumerate((2, 3, 2, 3)):
            sample = source[index]
            assert np.allclose(metres(sample), METRES + camera, atol=1 / 256)
            assert sample.intrinsics is not None
            assert sample.intrinsics.tolist() == pytest.approx([721.5 + camera, 721.5, 596.5, 149.8])
    assert not survey(source).findings


def test_a_frame_of_the_selection_without_its_depth_or_its_image(tmp_path: Path) -> None:
    folder = roads.selection(tmp_path, METRES)
    next((folder / "groundtruth_depth").glob("*0023_image_03.png")).unlink()
    next((folder / "image").glob("*0008_image_02.png")).unlink()
    source = KittiSelectionSource(location=str(tmp_path))
    assert [source[i].depth is None for i in range(3)] == [False, False, True]
    said = " ".join(finding.message for finding in survey(source).findings)
    assert "1 depth map has no image of its name" in said and "1 of 3 images have no ground truth" in said


def test_the_test_frames_of_the_selection_have_no_depth(tmp_path: Path) -> None:
    folder = tmp_path / "test_depth_prediction_anonymous"
    trees.photo(folder / "image" / "0000000004.png", *SIZE)
    roads.lines(folder / "intrinsics" / "0000000004.txt", roads.numbers(721, 0, 600, 0, 722, 150, 0, 0, 1))
    source = KittiSelectionSource(location=str(folder))
    assert source.depth_kind is None and source[0].intrinsics is not None
    with pytest.raises(DataError, match=r"has no image/DRIVE_sync_image_FRAME_image_0X\.png"):
        KittiSelectionSource(location=str(tmp_path))


def points(*of: tuple[float, float, float]) -> np.ndarray:
    """Points by column, row (counted from 1) and depth of the camera, as the scanner sees them."""
    rows = []
    for column, row, depth in of:
        right = (column * depth - roads.P2[3] - roads.P2[2] * depth) / roads.P2[0]
        down = (row * depth - roads.P2[7] - roads.P2[6] * depth) / roads.P2[5]
        rows.append([depth, -right, -down, 0.5])
    return np.array(rows)


def test_the_nearest_point_in_a_pixel_counts(tmp_path: Path) -> None:
    cloud = points((3, 2, 20.0), (3.3, 2.2, 8.0), (3, 2, 30.0), (40, 12, 5.0), (1, 1, 70.0))
    outside = points((0, 1, 4.0), (41, 1, 4.0), (5, 13, 4.0))
    behind = points((7, 7, 9.0)) * np.array([-1, 1, 1, 1])
    roads.objects(tmp_path, np.concatenate([cloud, outside, behind, [[np.nan, 0, 0, 0]]]))
    source = KittiObjectSource(location=str(tmp_path))
    sample = source[0]
    want = np.zeros(SIZE)
    want[1, 2], want[11, 39], want[0, 0] = 8, 5, 70
    assert np.allclose(metres(sample), want, atol=1e-5) and sample.valid is not None and int(sample.valid.sum()) == 3
    assert sample.intrinsics is not None and sample.intrinsics.tolist() == [100, 100, 20, 6]
    assert int(KittiObjectSource(location=str(tmp_path), max_depth=50)[0].valid.sum()) == 2


def test_the_right_camera_has_its_own_projection(tmp_path: Path) -> None:
    roads.objects(tmp_path, points((10, 5, 10.0)))
    (tmp_path / "training" / "image_2").rename(tmp_path / "training" / "image_3")
    depth = metres(KittiObjectSource(location=str(tmp_path), camera="right")[0])
    assert depth[4, 4] == 10 and np.count_nonzero(depth) == 1  # 50 / 10 pixels to the left
    with pytest.raises(DataError, match=r"has no training/image_2/NNNNNN\.png"):
        KittiObjectSource(location=str(tmp_path))


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("velodyne/000007.bin", b"0" * 40, "has 40 bytes, which is no whole number of points of 16"),
        ("calib/000007.txt", b"P2: 1 2 3\n", "has no R0_rect or R_rect of 3 x 3 numbers"),
        ("calib/000007.txt", b"P2: 1 2 inf\n", "line 1 has the number inf"),
        ("velodyne/000007.bin", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "LFS pointer"),
    ],
)
def test_a_broken_frame_is_named(tmp_path: Path, file: str, content: bytes, said: str) -> None:
    roads.objects(tmp_path, points((10, 5, 10.0)))
    (tmp_path / "training" / file).write_bytes(content)
    with pytest.raises(DataError, match=said) as caught:
        _ = KittiObjectSource(location=str(tmp_path))[0]
    assert str(tmp_path / "training") in str(caught.value) and "\n" not in str(caught.value)


def test_a_frame_without_calibration(tmp_path: Path) -> None:
    roads.objects(tmp_path, points((10, 5, 10.0)))
    (tmp_path / "training" / "calib" / "000007.txt").unlink()
    with pytest.raises(DataError, match=r"calib/000007\.txt' cannot be read"):
        _ = KittiObjectSource(location=str(tmp_path))[0]


@pytest.mark.parametrize("year", [2012, 2015])
def test_disparity_of_the_stereo_benchmarks(tmp_path: Path, year: int) -> None:
    disparity = np.linspace(1, 60, SIZE[0] * SIZE[1]).reshape(SIZE)
    disparity[0, :5] = 0
    roads.stereo(tmp_path, disparity, year)
    source = KittiStereoSource(location=str(tmp_path))
    assert [one.id for one in (source[0], source[1])] == [
        f"training/{'image_2' if year == 2015 else 'colored_0'}/00000{i}_10.png" for i in (0, 1)
    ]
    sample = source[0]
    stored = np.floor(disparity * 256) / 256
    with np.errstate(divide="ignore"):
        want = np.where(stored > 0, 50 / stored, 0)  # 5 - -45 pixels times metres
    assert np.allclose(metres(sample), want, rtol=1e-5) and int(sample.valid.sum()) == disparity.size - 5
    assert source[1].depth is None and sample.intrinsics is not None
    assert sample.intrinsics.tolist() == [100, 100, 20, 6]
    seen = KittiStereoSource(location=str(tmp_path), maps="noc")[0].valid
    assert seen is not None and int(seen.sum()) == int(((stored > 0) & (disparity <= 30)).sum())
    if year == 2015:
        ids = sample.instances
        assert ids is not None and torch.equal(ids > 0, torch.from_numpy(disparity > 30))
        assert source[1].instances is not None and not source[1].instances.any()


def test_disparity_without_calibration(tmp_path: Path) -> None:
    roads.stereo(tmp_path, np.full(SIZE, 10.0))
    for path in (tmp_path / "training" / "calib_cam_to_cam").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="nothing tells focal length and baseline; give focal_baseline="):
        _ = KittiStereoSource(location=str(tmp_path))[0]
    sample = KittiStereoSource(location=str(tmp_path), focal_baseline=384.38)[0]
    assert metres(sample) == pytest.approx(38.438) and sample.intrinsics is None


def test_cameras_in_the_wrong_order(tmp_path: Path) -> None:
    roads.stereo(tmp_path, np.full(SIZE, 10.0))
    path = tmp_path / "training" / "calib_cam_to_cam" / "000000.txt"
    text = path.read_text().replace("P_rect_02", "other").replace("P_rect_03", "P_rect_02")
    path.write_text(text.replace("other", "P_rect_03"))
    with pytest.raises(DataError, match="cameras 2 and 3 at a distance of -50"):
        _ = KittiStereoSource(location=str(tmp_path))[0]


def test_real_sweeps(shared: Path) -> None:
    source = KittiObjectSource(location=str(shared / "data" / "kitti_object"))
    samples = [source[i] for i in range(2)]
    found = [(one.id, int(one.valid.sum()), float(one.depth[one.valid].median())) for one in samples]
    assert found == [
        ("training/image_2/000000.png", 20280, pytest.approx(11.6619, abs=1e-3)),
        ("training/image_2/000002.png", 20216, pytest.approx(8.2141, abs=1e-3)),
    ]
    assert not [finding for finding in survey(source).findings if finding.level != "info"]
