"""``folder:`` and ``rgbd:`` read depth in any encoding of the table, as the user names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from codec_files import CAMERA, RIG, ROUGH, TRUTH, array, png, write

from kdcli.codecs import CODECS
from kdcli.errors import ConfigError, DataError
from kdcli.images import DEPTH_SUFFIXES
from kdcli.sources.folder import FolderSource
from kdcli.sources.rgbd import RgbdSource

GENERIC = [name for name in CODECS if {f".{ending}" for ending in CODECS[name].containers} <= DEPTH_SUFFIXES]
"""Encodings whose files are not files of many arrays, nor called like photographs."""


def options(name: str) -> dict[str, Any]:
    asked: dict[str, Any] = {"codec": name}
    if CODECS[name].ray:
        asked["focal"] = CAMERA[0]
    if CODECS[name].meaning == "disparity":
        asked |= {"focal_baseline": RIG.focal_baseline, "doffs": RIG.offset}
    return asked


def photo_of(root: Path, photo: Any, folder: str, name: str) -> None:
    photo(root / folder / f"a{'.JPG' if CODECS[name].headerless else '.png'}", height=3, width=4)


def check(depth: Any, valid: Any, name: str) -> None:
    truth = TRUTH if name != "nyu-kinect" else np.where(TRUTH < 10, TRUTH, 0)
    assert depth is not None and valid is not None
    np.testing.assert_array_equal(valid[0].numpy(), truth > 0)
    np.testing.assert_allclose(depth[0].numpy()[truth > 0], truth[truth > 0], rtol=ROUGH.get(name, 2e-3))


@pytest.mark.parametrize("name", CODECS)
def test_a_folder_in_any_encoding(tmp_path: Path, photo: Any, name: str) -> None:
    photo_of(tmp_path, photo, "images", name)
    (tmp_path / "maps").mkdir()
    write(tmp_path / "maps" / "a", name)
    source = FolderSource(location=str(tmp_path / "images"), depths=str(tmp_path / "maps"), **options(name))
    assert source.codec.name == name
    check(source[0].depth, source[0].valid, name)


@pytest.mark.parametrize("name", GENERIC)
def test_colour_and_depth_in_any_encoding(tmp_path: Path, photo: Any, name: str) -> None:
    photo_of(tmp_path, photo, "rgb", name)
    (tmp_path / "depth").mkdir()
    write(tmp_path / "depth" / "a", name)
    source = RgbdSource(location=str(tmp_path), **options(name))
    check(source[0].depth, source[0].valid, name)


@pytest.mark.parametrize("name", sorted(CODECS.keys() - set(GENERIC)))
def test_what_rgbd_does_not_look_for(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="which rgbd: does not look for; give folder:IMAGES,depths=DEPTHS"):
        RgbdSource(location=str(tmp_path), **options(name))


def test_disparity_beside_the_images_is_a_map(tmp_path: Path, photo: Any) -> None:
    photo(tmp_path / "im0.png", height=3, width=4)
    write(tmp_path / "disp0", "disparity")
    source = FolderSource(location=str(tmp_path), depths=".", **options("disparity"))
    assert len(source) == 1 and not [f for f in source.check() if "disparity" in f.message]
    check(source[0].depth, source[0].valid, "disparity")


def test_the_encoding_holds_over_what_a_layout_supposes(tmp_path: Path, photo: Any) -> None:
    photo(tmp_path / "rgb" / "a.png", height=3, width=4)
    (tmp_path / "depth").mkdir()
    png(tmp_path / "depth" / "a", TRUTH * 256)
    for part in ("rgb", "depth"):
        (tmp_path / f"{part}.txt").write_text(f"1.5 {part}/a.png\n")
    assert RgbdSource(location=str(tmp_path))[0].depth[0, 2, 0] == pytest.approx(8 * 256 / 5000)  # type: ignore[index]
    check(*_of(RgbdSource(location=str(tmp_path), codec="kitti")), "kitti")
    check(*_of(RgbdSource(location=str(tmp_path), codec="tum", scale=256)), "kitti")


def test_options_of_the_depth(tmp_path: Path, photo: Any) -> None:
    photo(tmp_path / "images" / "a.png", height=3, width=4)
    (tmp_path / "maps").mkdir()
    array(tmp_path / "maps" / "a", TRUTH)
    place: dict[str, Any] = {"location": str(tmp_path / "images"), "depths": str(tmp_path / "maps")}
    near = FolderSource(**place, max_depth=4.5, focal=500)[0]
    assert near.depth is not None and near.valid is not None and near.intrinsics is not None
    np.testing.assert_array_equal(near.depth[0].numpy(), np.where(TRUTH <= 4.5, TRUTH, 0))
    np.testing.assert_array_equal(near.valid[0].numpy(), (TRUTH > 0) & (TRUTH <= 4.5))
    assert near.intrinsics.tolist() == [500, 500, 1.5, 1]
    for asked, words in (
        ({"codec": "kiti"}, "depth encoding 'kiti' is unknown. Did you mean 'kitti'"),
        ({"codec": "disparity"}, "codec=disparity is disparity: give focal_baseline="),
        ({"codec": "disparity", "focal_baseline": -2.0}, "not -2"),
        ({"codec": "kitti", "focal_baseline": 40.0}, "focal_baseline= is of disparity, and codec=kitti is none"),
        ({"doffs": 3.0}, "doffs= is of disparity, and codec=by-type is none"),
        ({"focal": 0.0}, "focal=0 is no focal length"), ({"max_depth": -1.0}, "max_depth=-1 is no distance"),
    ):
        with pytest.raises(ConfigError) as error:
            FolderSource(**place, **asked)
        assert words in str(error.value)
    with pytest.raises(DataError, match="holds lengths of rays, and nothing tells the camera; give focal="):
        FolderSource(**place, codec="hypersim")[0]


def test_a_picture_in_an_npy_file(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).uniform(0, 1, (3, 4, 3))
    array(tmp_path / "rgb", pixels)
    array(tmp_path / "depth", TRUTH)
    source = FolderSource(location=str(tmp_path / "rgb.npy"), depths=".")
    sample = source[0]
    assert (source.sized(0, (2, 2)).image == sample.image).all()
    np.testing.assert_allclose(sample.image.numpy(), pixels.transpose(2, 0, 1), rtol=1e-6)
    check(sample.depth, sample.valid, "metres")
    with pytest.raises(DataError, match=r"depth\.npy' holds float32 of shape 3x4, not a picture"):
        FolderSource(location=str(tmp_path / "depth.npy"))[0]


def _of(source: RgbdSource) -> tuple[Any, Any]:
    return source[0].depth, source[0].valid
