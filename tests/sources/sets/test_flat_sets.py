"""DDAD as it is handed on, DIML, and stereo scenes of Middlebury and ETH3D."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trees
import trees_renders as renders
import trees_roads as roads

from kdcli.errors import ConfigError, DataError
from kdcli.sources.checks import survey
from kdcli.sources.sets.booster import BoosterSource
from kdcli.sources.sets.ddad import DdadSource
from kdcli.sources.sets.diml import DimlSource
from kdcli.sources.sets.middlebury import MiddleburySource
from kdcli.types import Sample

SIZE = (12, 40)
METRES = np.linspace(1, 30, SIZE[0] * SIZE[1]).reshape(SIZE).astype(np.float32)


def metres(sample: Sample) -> np.ndarray:
    assert sample.depth is not None
    return sample.depth[0].numpy()


def count(sample: Sample) -> int:
    assert sample.valid is not None
    return int(sample.valid.sum())


def test_arrays_of_metres_and_pictures_of_256ths_in_one_folder(tmp_path: Path) -> None:
    known = METRES.copy()
    known[3] = 0
    roads.ddad(tmp_path, known)
    source = DdadSource(location=str(tmp_path))
    assert len(source) == 2 and np.array_equal(metres(source[0]), known)
    assert np.allclose(metres(source[1]), known, atol=1 / 256) and count(source[1]) == METRES.size - SIZE[1]
    assert count(DdadSource(location=str(tmp_path), max_depth=10)[0]) == int((known[known > 0] <= 10).sum())
    assert not survey(source).findings


def test_ddad_by_a_list(tmp_path: Path) -> None:
    roads.ddad(tmp_path, METRES)
    roads.lines(tmp_path / "val.txt", "000001_rgb.png 000001_depth.png 1060.5", "000000_rgb.png 000000_depth.npy")
    source = DdadSource(location=str(tmp_path), list="val.txt")
    assert [source[i].id for i in range(2)] == ["000001_rgb.png", "000000_rgb.png"]
    assert np.allclose(metres(source[0]), METRES, atol=1 / 256) and np.array_equal(metres(source[1]), METRES)
    assert source[0].intrinsics is not None and source[0].intrinsics[0] == 1060.5 and source[1].intrinsics is None
    with pytest.raises(DataError, match=r"has no NAME_rgb\.png"):
        (tmp_path / "sub").mkdir()
        DdadSource(location=str(tmp_path / "sub"))


def test_folder_and_name_change_together(tmp_path: Path) -> None:
    renders.diml_indoor(tmp_path, METRES)
    source = DimlSource(location=str(tmp_path))
    assert len(source) == 2 and source.domain == "indoor"
    assert np.allclose(metres(source[1]), METRES, atol=1e-3)
    assert not survey(source).findings


def test_streets_of_diml(tmp_path: Path) -> None:
    renders.diml_outdoor(tmp_path / "outdoor", METRES)
    source = DimlSource(location=str(tmp_path), max_depth=20)
    assert source.domain == "any" and count(source[0]) == int(((METRES * 1000).astype(np.uint16) <= 20000).sum())
    renders.diml_indoor(tmp_path / "indoor", METRES)
    with pytest.raises(ConfigError, match="holds rooms and outdoor scenes"):
        DimlSource(location=str(tmp_path))
    with pytest.raises(DataError, match=r"has no SCENE/color/NAME_c\.png \(indoors\) or"):
        DimlSource(location=str(tmp_path / "indoor" / "HR" / "Bathroom 1" / "depth_filled"))


DISPARITY = np.linspace(3, 60, SIZE[0] * SIZE[1]).reshape(SIZE).astype(np.float32)


@pytest.mark.parametrize("apart", [False, True])
def test_disparity_with_an_offset_stored_from_the_bottom_up(tmp_path: Path, apart: bool) -> None:
    known = DISPARITY.copy()
    known[2, 3:7] = np.inf
    renders.middlebury(tmp_path, known, apart=apart)
    source = MiddleburySource(location=str(tmp_path))
    assert len(source) == 2
    for i in (0, 1):  # the second file has the other byte order
        want = np.where(np.isinf(known), 0, 900.5 * 0.193001 / (known + i + 11))
        assert np.allclose(metres(source[i]), want, rtol=1e-5) and count(source[i]) == known.size - 4
        camera = source[i].intrinsics
        assert camera is not None and camera.tolist() == [900.5, 900.5, 20.25, 6.5]
    assert not [finding for finding in survey(source).findings if finding.level != "info"]


def test_the_map_of_a_scene_is_not_that_of_the_same_scene_at_another_size(tmp_path: Path) -> None:
    disparity = np.linspace(20, 60, 12 * 40).reshape(12, 40)
    renders.middlebury(tmp_path / "trainingQ", disparity)
    renders.middlebury(tmp_path / "trainingH", disparity.repeat(2, 0).repeat(2, 1) * 2)
    for path in (tmp_path / "trainingH").rglob("disp0.pfm"):
        path.unlink()  # its ground truth was not downloaded
    source = MiddleburySource(location=str(tmp_path))
    assert {pair.id.partition("/")[0]: pair.depth is not None for pair in source.pairs} == {
        "trainingH": False, "trainingQ": True
    }  # fmt: skip


def test_a_scene_without_calibration(tmp_path: Path) -> None:
    trees.photo(tmp_path / "bike_left.png", *SIZE)
    trees.photo(tmp_path / "bike_right.png", *SIZE, 1)
    np.savez(tmp_path / "bike_disp.npz", DISPARITY)
    with pytest.raises(DataError, match="nothing tells focal length and baseline; give focal_baseline="):
        _ = MiddleburySource(location=str(tmp_path))[0]
    source = MiddleburySource(location=str(tmp_path), focal_baseline=192.03, doffs=31)
    assert len(source) == 1 and np.allclose(metres(source[0]), 192.03 / (DISPARITY + 31), rtol=1e-5)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("baseline=193.001", "baseline=-3", "has baseline -3; write a finite number"),
        ("cam0=", "camera=", r"lacks cam0=\[9 numbers\]"),
        ("doffs=11", "doffs=nan", "has doffs nan"),
        ("cam0=[900.5", "cam0=[0", "has focal length 0"),
    ],
)
def test_calibration_that_cannot_be(tmp_path: Path, old: str, new: str, said: str) -> None:
    renders.middlebury(tmp_path, DISPARITY)
    path = tmp_path / "Adirondack-perfect" / "calib.txt"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(DataError, match=said) as caught:
        _ = MiddleburySource(location=str(tmp_path))[0]
    assert str(path) in str(caught.value)


def test_lightings_of_booster_share_a_map(tmp_path: Path) -> None:
    known = DISPARITY.copy()
    known[0, :3], known[1, 0] = 0, np.inf
    scene = renders.booster(tmp_path, known)
    source = BoosterSource(location=str(tmp_path / "train"))
    assert [source[i].id for i in range(2)] == [f"balanced/Bathroom/camera_00/im{i}.png" for i in range(2)]
    for i in range(2):
        sample = source[i]
        seen = (known > 0) & np.isfinite(known)
        assert np.allclose(metres(sample)[seen], 650 * 0.08 / known[seen], rtol=1e-5) and count(sample) == seen.sum()
        assert sample.intrinsics is not None and sample.intrinsics.tolist() == [650, 640, 21, 5.5]
    both = BoosterSource(location=str(tmp_path), maps="noc")
    assert [both[i].depth is None for i in range(4)] == [True, True, False, False]
    assert count(both[2]) == int(((known > 20) & np.isfinite(known)).sum())
    path = scene / "calib_00-02.xml"
    path.write_text(renders.OPENCV.replace("<baselineLR>8.0e+01</baselineLR>", ""))
    assert np.allclose(metres(source[0])[5], 650 * 0.08 / known[5], rtol=1e-5)  # of the right projection
    path.write_text("<opencv_storage/>")
    with pytest.raises(DataError, match=r"calib_00-02\.xml' has no proj_matL of 3 x 4 numbers"):
        _ = source[0]


def test_real_scenes(shared: Path) -> None:
    eth3d = MiddleburySource(location=str(shared / "data" / "eth3d_two_view_pfm"))
    sample = eth3d[0]
    assert len(eth3d) == 1 and sample.depth is not None and sample.valid is not None
    known = sample.depth[sample.valid]
    assert float(known.median()) == pytest.approx(3.5882, abs=1e-3) and known.min() > 1.6 and known.max() < 15.2
    assert float(sample.valid.float().mean()) == pytest.approx(0.5, abs=0.01)
    where = f"{shared}/data/middlebury2014_motorcycle"
    sample = MiddleburySource(location=where, focal_baseline=994.978 * 0.193001, doffs=31.086)[0]
    assert sample.depth is not None and sample.valid is not None
    known = sample.depth[sample.valid]
    assert float(known.median()) == pytest.approx(2.7504, abs=1e-3) and known.min() > 2.1 and known.max() < 5.02
