"""Depth that is stored otherwise than its encoding says: other numbers, a smaller map, MATLAB's order of axes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from kdcli.codecs import CODECS
from kdcli.errors import DataError
from kdcli.images import write_depth_png
from kdcli.sources.folder import FolderSource
from kdcli.sources.rgbd import RgbdSource

TRUTH = np.random.default_rng(0).uniform(1, 9, (12, 16)).astype(np.float32)


def folder(root: Path, photo: Any, depth: Any, *, ending: str = ".png") -> dict[str, Any]:
    photo(root / "images" / "a.png", height=12, width=16)
    (root / "maps").mkdir()
    if ending == ".npy":
        np.save(root / "maps" / "a.npy", depth)
    else:
        Image.fromarray(depth).save(root / "maps" / f"a{ending}")
    return {"location": str(root / "images"), "depths": str(root / "maps")}


def hdf5(path: Path, key: str, array: Any) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        file[key] = array


def test_which_numbers_an_encoding_is_of() -> None:
    kinds = {kind: {name for name, codec in CODECS.items() if codec.kind == kind} for kind in ("any", "whole", "float")}
    assert kinds["any"] == {"by-type", "tartanair2"}
    assert kinds["float"] >= {"metres", "fastdepth", "hypersim", "eth3d", "sintel", "disparity", "make3d"}
    assert kinds["whole"] >= {"millimetres", "kitti", "sunrgbd", "vkitti2", "nyu-kinect", "moge", "kitti-disparity"}


@pytest.mark.parametrize(("codec", "depth", "ending", "words"), [
    ("kitti", TRUTH, ".npy", "holds floats, and the encoding 'kitti' is one of whole numbers of 16 bits"),
    ("tum", (TRUTH * 25).astype(np.uint8), ".png", "holds whole numbers of 8 bits, and the encoding 'tum' is one of"),
    ("metres", (TRUTH * 1000).astype(np.uint16), ".png", "holds whole numbers of 16 bits, and the encoding 'metres'"),
    ("metres", (TRUTH * 1000).astype(np.uint16), ".npy", "is one of floats; give the original file"),
])
def test_other_numbers_than_those_of_the_encoding(
    tmp_path: Path, photo: Any, codec: str, depth: Any, ending: str, words: str
) -> None:
    place = folder(tmp_path, photo, depth, ending=ending)
    source = FolderSource(**place, codec=codec)
    with pytest.raises(DataError) as error:
        source[0]
    assert words in str(error.value)
    assert any(words in finding.message for finding in source.check() if finding.level == "error")


def test_another_unit_than_the_file_itself_names(tmp_path: Path, photo: Any) -> None:
    for part in ("rgb", "depth"):
        (tmp_path / f"{part}.txt").write_text(f"1.5 {part}/a.png\n")  # TUM's layout, of 5000 units per metre
    photo(tmp_path / "rgb" / "a.png", height=12, width=16)
    (tmp_path / "depth").mkdir()
    write_depth_png(tmp_path / "depth" / "a.png", torch.from_numpy(TRUTH), scale=1000)
    for source in (RgbdSource(location=str(tmp_path)), RgbdSource(location=str(tmp_path), codec="kitti")):
        with pytest.raises(DataError, match=r"says 1000 units per metre itself, and (5000|256) would be taken"):
            source[0]
    for options, units in (({"scale": 1000}, 1000), ({"codec": "millimetres"}, 1000), ({"scale": 500}, 500)):
        sample = RgbdSource(location=str(tmp_path), **options)[0]
        assert sample.depth is not None
        np.testing.assert_allclose(sample.depth[0].numpy(), np.round(TRUTH * 1000) / units, rtol=1e-6)


def test_a_scale_that_is_said_holds_for_any_numbers(tmp_path: Path, photo: Any) -> None:
    place = folder(tmp_path, photo, (TRUTH * 25).astype(np.uint8))
    sample = FolderSource(**place, codec="kitti", scale=25)[0]
    assert sample.depth is not None
    np.testing.assert_allclose(sample.depth[0].numpy(), np.floor(TRUTH * 25) / 25, rtol=1e-6)


@pytest.mark.parametrize("size", [(12, 16), (24, 32)])
def test_rays_of_a_map_that_is_smaller_than_its_photograph(tmp_path: Path, photo: Any, size: tuple[int, int]) -> None:
    photo(tmp_path / "images" / "a.png", height=size[0], width=size[1])
    (tmp_path / "maps").mkdir()
    y, x = np.mgrid[:12, :16]
    wall = 3 * np.sqrt(1 + ((x - 7.5) / 20) ** 2 + ((y - 5.5) / 20) ** 2)
    hdf5(tmp_path / "maps" / "a.hdf5", "dataset", wall.astype(np.float32))
    focal = 20 * size[1] / 16  # of the photograph
    sample = FolderSource(
        location=str(tmp_path / "images"), depths=str(tmp_path / "maps"), codec="hypersim", focal=focal
    )[0]
    assert sample.depth is not None and sample.intrinsics is not None
    np.testing.assert_allclose(sample.depth[0].numpy(), 3.0, rtol=1e-5)
    assert sample.intrinsics[0] == focal


@pytest.mark.parametrize("name", ["nyu-labelled", "make3d"])
@pytest.mark.parametrize("version", [5, 7])
def test_a_map_of_either_version_of_matlab_stands_upright(tmp_path: Path, photo: Any, name: str, version: int) -> None:
    square = np.random.default_rng(1).uniform(1, 9, (12, 12)).astype(np.float32)
    photo(tmp_path / "images" / "a.png", height=12, width=12)
    (tmp_path / "maps").mkdir()
    key, array = CODECS[name].key, square if name == "nyu-labelled" else np.stack([square * 0] * 3 + [square], -1)
    assert key is not None
    if version == 5:
        pytest.importorskip("scipy.io").savemat(tmp_path / "maps" / "a.mat", {key: array})
    else:
        hdf5(tmp_path / "maps" / "a.mat", key, array.T)  # HDF5 names axes the other way round
    sample = FolderSource(location=str(tmp_path / "images"), depths=str(tmp_path / "maps"), codec=name)[0]
    assert sample.depth is not None
    np.testing.assert_allclose(sample.depth[0].numpy(), square, rtol=1e-6)
