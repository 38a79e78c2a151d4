"""``nyu:`` reads the labelled file with its splits, and FastDepth's tree, by what lies there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trees_nyu import SIZE, fastdepth, labelled, splits

from kdcli.errors import ConfigError, DataError
from kdcli.sources.nyu import NyuSource
from kdcli.testing import check_source

NAME = "nyu_depth_v2_labeled.mat"


def source(root: Path, **options: Any) -> NyuSource:
    return NyuSource(location=str(root), **options)


@pytest.mark.parametrize("version", [73, 5])
def test_the_labelled_file_of_either_version(tmp_path: Path, version: int) -> None:
    held = labelled(tmp_path / NAME, version)
    for made in (source(tmp_path), source(tmp_path / NAME)):
        assert made.form == "labelled" and [pair.id for pair in made.pairs] == [
            "kitchen_0004/0001", "kitchen_0004/0002", "office_0021/0003", "bathroom_0010/0004",
        ]
    for i, sample in enumerate(source(tmp_path)):
        assert sample.image.shape == (3, *SIZE) and sample.depth is not None
        np.testing.assert_array_equal(sample.image.numpy(), held["images"][..., i].transpose(2, 0, 1) / np.float32(255))
        np.testing.assert_array_equal(sample.depth[0].numpy(), held["depths"][..., i])
        assert sample.instances is not None and sample.instances.tolist()[2] == [1] * 8 + [2] * 8
        assert sample.instances[6].tolist() == [3] * 16 and not sample.instances[9:].any()
    raw = source(tmp_path, depth="raw")[1]
    assert raw.valid is not None and raw.depth is not None
    np.testing.assert_array_equal(raw.valid[0].numpy(), held["depths"][..., 1] <= 5)
    check_source(source(tmp_path))


@pytest.mark.parametrize("version", [73, 5])
def test_splits_count_from_one(tmp_path: Path, version: int) -> None:
    held = labelled(tmp_path / NAME, version)
    splits(tmp_path / "splits.mat", train=[3, 4], test=[1, 2])
    test = source(tmp_path, split="test")
    assert [pair.id for pair in test.pairs] == ["kitchen_0004/0001", "kitchen_0004/0002"]
    assert test[0].depth is not None
    np.testing.assert_array_equal(test[0].depth[0].numpy(), held["depths"][..., 0])
    train = source(tmp_path / NAME, split="train")
    assert [pair.id for pair in train.pairs] == ["office_0021/0003", "bathroom_0010/0004"]
    splits(tmp_path / "splits.mat", train=[3, 4, 5], test=[0, 1])
    for split in ("train", "test"):
        with pytest.raises(DataError, match="has items 1 to 4"):
            source(tmp_path, split=split)
    (tmp_path / "splits.mat").unlink()
    with pytest.raises(DataError, match=r"splits\.mat', which is not there"):
        source(tmp_path, split="test")


def test_a_labelled_file_without_all_arrays(tmp_path: Path) -> None:
    labelled(tmp_path / "mine.mat", but=("labels", "rawDepths"))
    made = source(tmp_path, form="labelled")
    assert made[0].instances is None and not made.has_instances
    with pytest.raises(DataError, match="no array 'rawDepths' \\(it has: depths, images, instances, scenes"):
        source(tmp_path, form="labelled", depth="raw")
    (tmp_path / "mine.mat").write_bytes(b"no file of arrays" * 20)
    with pytest.raises(DataError, match=r"mine\.mat' is no MATLAB file of version 5 or 7\.3"):
        source(tmp_path, form="labelled")
    (tmp_path / "mine.mat").unlink()
    with pytest.raises(DataError, match=r"mine\.mat' does not exist"):
        source(tmp_path / "mine.mat")
    with pytest.raises(DataError, match=f"has no {NAME}"):
        source(tmp_path, form="labelled")


def test_files_of_fastdepth(tmp_path: Path) -> None:
    depths = fastdepth(tmp_path / "nyudepthv2")
    for root in (tmp_path, tmp_path / "nyudepthv2"):
        train, test = source(root, split="train"), source(root, split="test")
        assert (train.form, test.form) == ("h5", "h5")
        names = ["attic/00001", "attic/00012", "den/00002"]
        assert [pair.id for pair in train.pairs] == [f"train/{name}.h5" for name in names]
        assert [pair.id for pair in test.pairs] == ["val/official/00001.h5"]
        for sample in (*train, *test):
            assert sample.image.shape == (3, *SIZE) and sample.depth is not None
            np.testing.assert_array_equal(sample.depth[0].numpy(), depths[sample.id])
    held = [finding.message for finding in train.check() if "holds out" in finding.message]
    assert len(held) == 1 and "attic/00001.h5" in held[0] and "00012" not in held[0]
    assert not any("holds out" in finding.message for finding in test.check())
    with pytest.raises(ConfigError, match="split=train or split=test"):
        source(tmp_path)
    check_source(train)


def test_the_form_that_lies_there(tmp_path: Path, photo: Any, depth16: Any) -> None:
    fastdepth(tmp_path / "h5", ("train",))
    assert len(source(tmp_path / "h5")) == 3
    with pytest.raises(DataError, match="has no folder val"):
        source(tmp_path / "h5", split="test")
    photo(tmp_path / "all" / "sync" / "attic" / "rgb_00000.jpg")
    depth16(tmp_path / "all" / "sync" / "attic" / "sync_depth_00000.png")
    labelled(tmp_path / "all" / NAME)
    assert source(tmp_path / "all").form == "bts" and len(source(tmp_path / "all")) == 1
    assert len(source(tmp_path / "all", form="labelled", max_depth=5)) == 4
    with pytest.raises(DataError, match=r"no train/SCENE/N\.h5"):
        source(tmp_path / "all", form="h5")


def test_the_toolbox_camera_holds_at_the_size_of_the_sensor(tmp_path: Path) -> None:
    labelled(tmp_path / NAME)
    made = source(tmp_path)
    camera = made.camera(made.pairs[0], 480, 640)
    assert camera is not None and camera == pytest.approx((518.857901, 519.469611, 325.582449, 253.736166))
    assert made[0].intrinsics is None
