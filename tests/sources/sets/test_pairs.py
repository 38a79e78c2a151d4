"""``images`` beside ``depth`` with a data YAML of either dialect."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from trees_lasers import photograph
from trees_pairs import COUNT, SIZE, pairs, stored

from kdcli.errors import ConfigError, DataError
from kdcli.images import write_depth_png
from kdcli.remarks import heard
from kdcli.sources.sets.pairs import PairsSource
from kdcli.testing import check_source


def metres(source: PairsSource, index: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    sample = source[index]
    assert sample.depth is not None and sample.valid is not None
    depth = sample.depth[0].numpy()
    assert (sample.valid[0].numpy() == (depth > 0)).all()
    return depth


def test_depth_comes_out_as_it_went_in(tmp_path: Path) -> None:
    path = pairs(tmp_path)
    for location in (path, tmp_path):
        source = PairsSource(location=str(location), split="train")
        assert [pair.id for pair in source.pairs] == [f"images/train/a.{i}.jpg" for i in range(COUNT["train"])]
        for i in range(len(source)):
            np.testing.assert_allclose(metres(source, i), stored(i) / 1000, rtol=1e-6)
        assert not source.check()
    with pytest.raises(ConfigError, match=r"data\.yaml' has train, val; write split=train or split=val"):
        PairsSource(location=str(path))
    with pytest.raises(ConfigError, match="has no test; write split=train or split=val"):
        PairsSource(location=str(path), split="test")


def test_a_scale_is_not_guessed(tmp_path: Path) -> None:
    path = pairs(tmp_path, yaml="")
    with pytest.raises(ConfigError) as error:
        PairsSource(location=str(path), split="val")
    for words in ("has no depth_scale, and 1000 in", "is 1 m for ultralytics and 3.9 m for libreyolo"):
        assert words in str(error.value)
    told: list[str] = []
    with heard(told.append):
        source = PairsSource(location=str(path), split="val", dialect="ultralytics")
    np.testing.assert_allclose(metres(source), stored(0) / 1000, rtol=1e-6)
    assert told == [f"'{path}' has no depth_scale: 1000 units per metre are ultralytics's default"]
    assert [finding.message for finding in source.check()] == told
    given = PairsSource(location=str(path), split="val", scale=256)
    np.testing.assert_allclose(metres(given), stored(0) / 256, rtol=1e-6)
    assert not [finding for finding in given.check() if "default" in finding.message]
    for value in ("0", "true", ".nan", "many", "[1]", ".inf"):
        pairs(tmp_path, yaml=f"depth_scale: {value}\n")
        with pytest.raises(DataError, match=r"has depth_scale: .*; write a number above 0"):
            PairsSource(location=str(path), split="val")


@pytest.mark.parametrize("ending", [".tif", ".npy"])
def test_a_scale_is_not_guessed_for_a_later_map_either(tmp_path: Path, ending: str) -> None:
    path = pairs(tmp_path, yaml="")
    np.save(tmp_path / "depth/val/a.0.npy", (stored(0) / 1000).astype(np.float32))
    for i in range(COUNT["val"]):
        (tmp_path / f"depth/val/a.{i}.png").unlink()
    later = tmp_path / f"depth/val/a.1{ending}"
    if ending == ".npy":
        np.save(later, stored(1))
    else:
        Image.fromarray(stored(1)).save(later)
    source = PairsSource(location=str(path), split="val")
    np.testing.assert_allclose(metres(source), stored(0) / 1000, rtol=1e-6)
    with pytest.raises(DataError, match=rf"has no depth_scale, and 1000 in '.*a\.1\{ending}' is 1 m for ultralytics"):
        _ = source[1]
    np.testing.assert_allclose(metres(PairsSource(location=str(path), split="val", scale=500), 1), stored(1) / 500)


def test_a_unit_that_maps_name_themselves(tmp_path: Path) -> None:
    path = pairs(tmp_path, yaml="")
    for i in range(COUNT["val"]):
        depth = torch.from_numpy(stored(i).astype(np.float32) / 500)
        write_depth_png(tmp_path / f"depth/val/a.{i}.png", depth, scale=500)
    np.testing.assert_allclose(metres(PairsSource(location=str(path), split="val")), stored(0) / 500, rtol=1e-6)
    path.write_text(path.read_text() + "depth_scale: 1000\n")
    with pytest.raises(DataError, match=r"a\.0\.png' says 500 units per metre, and '.*data\.yaml' 1000; correct"):
        _ = PairsSource(location=str(path), split="val")[0]
    forced = PairsSource(location=str(path), split="val", scale=1000)
    np.testing.assert_allclose(metres(forced), stored(0) / 1000, rtol=1e-6)


def test_the_other_dialect(tmp_path: Path) -> None:
    path = pairs(tmp_path, depths="depths", stem="_depth", yaml="")
    mask = np.ones(SIZE, np.uint8)
    mask[10:] = 0
    Image.fromarray(mask).save(tmp_path / "depths/val/a.0_depth_mask.png")
    source = PairsSource(location=str(path), split="val", dialect="libreyolo")
    np.testing.assert_allclose(metres(source), stored(0) * mask / 256, rtol=1e-6)
    np.testing.assert_allclose(metres(source, 1), stored(1) / 256, rtol=1e-6)
    (tmp_path / "depths").rename(tmp_path / "truth")
    pairs(tmp_path, depths="truth", stem="_z", yaml="depths_dir: truth\ndepth_stem_suffix: _z\ndepth_scale: 500\n")
    np.testing.assert_allclose(metres(PairsSource(location=str(path), split="val")), stored(0) / 500, rtol=1e-6)
    pairs(tmp_path)
    pairs(tmp_path, depths="depths")
    with pytest.raises(ConfigError, match="are depth and depths; write dialect=ultralytics for the first"):
        PairsSource(location=str(path), split="val")


def test_floats_are_metres_whatever_the_yaml_says(tmp_path: Path) -> None:
    path = pairs(tmp_path, yaml="depth_scale: 256\n")
    for i in range(COUNT["val"]):
        depth = (stored(i) / 1000).astype(np.float32)
        depth[0, 0], depth[1, 1] = np.nan, np.inf
        (tmp_path / f"depth/val/a.{i}.png").unlink()
        if i:
            Image.fromarray(np.nan_to_num(depth, posinf=0)).save(tmp_path / f"depth/val/a.{i}.tif")
        else:
            np.save(tmp_path / f"depth/val/a.{i}.npy", depth)
    for yaml in ("depth_scale: 256\n", ""):  # without whole numbers no scale is wanted
        if not yaml:
            pairs(tmp_path / "no", yaml=yaml)
            path.write_text((tmp_path / "no/data.yaml").read_text())
        source = PairsSource(location=str(path), split="val")
        for i in range(2):
            np.testing.assert_allclose(metres(source, i), stored(i) / 1000, rtol=1e-6)
    pairs(tmp_path, yaml="max_depth: 5\n")
    assert metres(PairsSource(location=str(path), split="val", scale=1000)).max() <= 5
    assert metres(PairsSource(location=str(path), split="val", scale=1000, max_depth=100)).max() > 8


def test_png_is_preferred_and_what_is_left_is_said(tmp_path: Path) -> None:
    path = pairs(tmp_path)
    np.save(tmp_path / "depth/val/a.0.npy", np.full(SIZE, 7, np.float32))
    photograph(tmp_path / "images/val/late.png", SIZE, 9)
    photograph(tmp_path / "images/val/a.1.png", SIZE, 10)
    source = PairsSource(location=str(path), split="val")
    assert len(source) == 3 and metres(source).max() > 8
    messages = [finding.message for finding in source.check()]
    assert messages[0].startswith("1 image has no depth of its name and is left out") and "late.png" in messages[0]
    assert messages[1].startswith("1 image has the name of another but for the ending") and "a.1.png" in messages[1]
    assert messages[2].startswith("1 depth map has no image of its name") and "a.0.npy" in messages[2]


def test_a_smaller_map_is_enlarged_by_the_nearest_pixel(tmp_path: Path) -> None:
    path = pairs(tmp_path)
    Image.fromarray(stored(5, (16, 20))).save(tmp_path / "depth/val/a.0.png")
    with pytest.raises(DataError, match="is 32x24 but its depth"):  # another shape, so another crop
        PairsSource(location=str(path), split="val")[0]
    small = stored(5, (12, 16))
    Image.fromarray(small).save(tmp_path / "depth/val/a.0.png")
    source = PairsSource(location=str(path), split="val")
    np.testing.assert_allclose(metres(source), small.repeat(2, 0).repeat(2, 1) / 1000, rtol=1e-6)
    photograph(tmp_path / "images/val/a.0.jpg", (101, 199), 1)
    small = stored(6, (50, 100))  # 1.5 percent off, within what its authors allow
    Image.fromarray(small).save(tmp_path / "depth/val/a.0.png")
    rows, columns = np.arange(101) * 50 // 101, np.arange(199) * 100 // 199
    np.testing.assert_allclose(metres(source), small[rows][:, columns] / 1000, rtol=1e-6)


def test_lists_of_images_and_of_folders(tmp_path: Path) -> None:
    path = pairs(tmp_path)
    (tmp_path / "few.txt").write_text(f"./images/val/a.1.jpg\nimages/train/a.2.jpg\n{tmp_path}/images/val/a.0.jpg\n")
    path.write_text("train: [images/train, images/val]\nval: few.txt\ndepth_scale: 1000\n")
    assert len(PairsSource(location=str(path), split="train")) == 5
    source = PairsSource(location=str(path), split="val")
    assert [pair.id for pair in source.pairs] == ["images/val/a.1.jpg", "images/train/a.2.jpg", "images/val/a.0.jpg"]
    np.testing.assert_allclose(metres(source, 1), stored(2) / 1000, rtol=1e-6)


def test_a_folder_without_yaml(tmp_path: Path) -> None:
    pairs(tmp_path, yaml=None)
    assert len(PairsSource(location=str(tmp_path), split="train", scale=1000)) == 3
    with pytest.raises(ConfigError, match="has no depth_scale"):
        PairsSource(location=str(tmp_path), split="train")
    flat = tmp_path / "flat"
    photograph(flat / "images/x.png", SIZE, 0)
    (flat / "depth").mkdir()
    Image.fromarray(stored(0)).save(flat / "depth/x.png")
    assert len(PairsSource(location=str(flat), scale=1000)) == 1


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = pairs(tmp_path)
    Image.fromarray(np.full(SIZE, 200, np.uint8)).save(tmp_path / "depth/val/a.0.png")
    with pytest.raises(DataError, match=r"a\.0\.png' has 8 bits, and depth has 16 in this layout"):
        PairsSource(location=str(path), split="val")[0]
    (tmp_path / "other.yaml").write_text("train: images/train\n")
    (tmp_path / "data.yaml").rename(tmp_path / "own.yaml")
    with pytest.raises(ConfigError, match=r"has 2 YAML files: other\.yaml, own\.yaml; give the one that is meant"):
        PairsSource(location=str(tmp_path))
    for text, words in (
        ("train: [\n", "is no YAML that can be read"), ("- a\n", "names no images under train, val or test"),
        ("train: pictures\n", "names 'pictures', which is in none of"), ("train: {a: b}\n", "is no text and no list"),
        ("train: images/train\ndepths_dir: ../x\n", "has depths_dir: ../x, which is no name"),
        ("train: images/train\nval: images/gone\n", "names 'images/gone' for val"),
        ("a: &a [x, x]\nb: &b [*a, *a]\ntrain: [*b, *b]\n", "has train: a list, which is no text"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "is a Git LFS pointer"),
    ):  # fmt: skip
        path.write_text(text)
        with pytest.raises(DataError) as error:
            PairsSource(location=str(path), split="val")
        assert words in str(error.value)
    photograph(tmp_path / "pictures/a.png", SIZE, 0)
    path.write_text("train: pictures\ndepth_scale: 1\n")
    with pytest.raises(DataError, match="is in no folder called images, beside which depth would be"):
        PairsSource(location=str(path))
    photograph(tmp_path / "bare/images/a.png", SIZE, 0)
    with pytest.raises(DataError, match=r"none of the 1 images has depth, such as '.*bare/depth/a\.png' for"):
        PairsSource(location=str(tmp_path / "bare"))


def test_it_passes_the_kit(tmp_path: Path) -> None:
    pairs(tmp_path)
    check_source(PairsSource, options={"location": str(tmp_path), "split": "train"})
