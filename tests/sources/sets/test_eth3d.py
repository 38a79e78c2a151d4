"""ETH3D in the ways in which it is unpacked."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from trees_lasers import ETH3D_SIZE, eth3d, photograph

from kdcli.errors import DataError
from kdcli.sources.sets.eth3d import Eth3dSource
from kdcli.testing import check_source


@pytest.mark.parametrize("way", ["one", "archives", "marigold"])
def test_depth_comes_out_as_it_went_in(tmp_path: Path, way: str) -> None:
    depths = eth3d(tmp_path, way)
    source = Eth3dSource(location=str(tmp_path))
    assert [pair.id for pair in source.pairs] == sorted(depths)
    for i, pair in enumerate(source.pairs):
        sample, truth = source[i], depths[pair.id]
        assert sample.depth is not None and sample.valid is not None
        assert (sample.valid[0].numpy() == np.isfinite(truth)).all()
        np.testing.assert_array_equal(sample.depth[0].numpy(), np.where(np.isfinite(truth), truth, 0))
    assert not source.check()


def test_the_camera_is_the_scenes(tmp_path: Path) -> None:
    eth3d(tmp_path)
    source = Eth3dSource(location=str(tmp_path))
    cameras = [sample.intrinsics.tolist() for sample in source if sample.intrinsics is not None]
    one, other = [2000, 2001, 20, 13], [2001, 2001, 20, 13]
    assert cameras == [one, one, one, other]  # the second scene has two, told apart by images.txt
    assert source.camera(source.pairs[0], 14, 21) == (1000, 1000.5, 9.75, 6.25)  # its centre stays in the picture's
    (tmp_path / "pipes/dslr_calibration_jpg/images.txt").unlink()
    assert Eth3dSource(location=str(tmp_path), scenes="pipes")[0].intrinsics is None
    (tmp_path / "pipes/dslr_calibration_jpg/cameras.txt").write_text("0 PINHOLE 42 28 2000\n")
    with pytest.raises(DataError, match=r"cameras\.txt' line 1 is not 'ID MODEL WIDTH HEIGHT PARAMETERS'"):
        Eth3dSource(location=str(tmp_path), scenes="pipes")[0]
    (tmp_path / "pipes/dslr_calibration_jpg/cameras.txt").write_text("")
    with pytest.raises(DataError, match=r"cameras\.txt' names no camera"):
        Eth3dSource(location=str(tmp_path), scenes="pipes")[0]


def test_a_photograph_is_not_depth(tmp_path: Path) -> None:
    eth3d(tmp_path)
    depth = tmp_path / "courtyard/ground_truth_depth/dslr_images/DSC_0286.JPG"
    photograph(depth, ETH3D_SIZE, 1)
    source, size = Eth3dSource(location=str(tmp_path)), depth.stat().st_size
    said = f"'{depth}' is a JPEG of {size} bytes, not depth, which would be 4704 bytes of floats for 42x28"
    with pytest.raises(DataError, match=re.escape(said)):
        source[0]
    assert any(said in finding.message for finding in source.check())
    depth.write_bytes(b"\0" * 4000)
    with pytest.raises(DataError, match="has 4000 bytes and would have 4704 as floats"):
        source[0]


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    eth3d(tmp_path, "archives")
    with pytest.raises(DataError, match=r"has no scene 'office'; it has courtyard, pipes"):
        Eth3dSource(location=str(tmp_path), scenes="office")
    photograph(tmp_path / "office_dslr_jpg/office/images/dslr_images/DSC_0219.JPG", ETH3D_SIZE, 3)
    source = Eth3dSource(location=str(tmp_path))
    assert len(source) == 4 and "1 photograph has no depth and is left out" in source.check()[0].message
    bare = tmp_path / "undistorted"
    photograph(bare / "office/images/dslr_images_undistorted/DSC_0219.JPG", ETH3D_SIZE, 3)
    with pytest.raises(DataError, match="holds undistorted photographs, which have no depth"):
        Eth3dSource(location=str(bare))


def test_it_passes_the_kit(tmp_path: Path) -> None:
    eth3d(tmp_path)
    check_source(Eth3dSource, options={"location": str(tmp_path)})
