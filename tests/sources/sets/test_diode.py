"""DIODE as it is unpacked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from trees_lasers import diode

from kdcli.errors import ConfigError, DataError
from kdcli.sources.sets.diode import DiodeSource
from kdcli.testing import check_source


def test_depth_comes_out_as_it_went_in(tmp_path: Path) -> None:
    depths = diode(tmp_path)
    source = DiodeSource(location=str(tmp_path), split="val")
    assert [pair.id for pair in source.pairs] == sorted(depths)
    for i, pair in enumerate(source.pairs):
        sample = source[i]
        assert sample.depth is not None and sample.valid is not None and sample.intrinsics is not None
        mask = np.ones((24, 32), bool)
        mask[:12, :16] = False
        assert (sample.valid[0].numpy() == mask).all()
        np.testing.assert_array_equal(sample.depth[0].numpy(), np.where(mask, depths[pair.id], 0))
        camera = [886.81 / 32, 927.06 / 32, 512.5 / 32 - 0.5, 384.5 / 32 - 0.5]
        np.testing.assert_allclose(sample.intrinsics, camera, rtol=1e-6)
    assert not source.check()
    bare = DiodeSource(location=str(tmp_path), split="val", masked=False)[0]
    assert bare.valid is not None and bool(bare.valid.all())


def test_parts_and_splits(tmp_path: Path) -> None:
    diode(tmp_path)
    at = str(tmp_path)
    outdoor = DiodeSource(location=at, split="train", part="outdoor")
    assert {pair.id.partition("/")[0] for pair in outdoor.pairs} == {"outdoor"} and not hasattr(outdoor, "domain")
    assert DiodeSource(location=at, split="train", part="indoors").domain == "indoor"
    assert len(DiodeSource(location=str(tmp_path / "val"))) == 4
    with pytest.raises(ConfigError, match="has train and val; write split=train or split=val"):
        DiodeSource(location=at)
    alone = tmp_path / "alone"
    diode(alone, splits=("val",))
    assert len(DiodeSource(location=str(alone))) == 4
    with pytest.raises(DataError, match="has no folder train, only val"):
        DiodeSource(location=str(alone), split="train")
    (alone / "val/outdoor").rename(alone / "val/outdoors")  # as those call it who miss that one word is in the singular
    assert len(DiodeSource(location=str(alone), part="outdoor")) == 2


def test_a_cap_and_missing_files(tmp_path: Path) -> None:
    depths = diode(tmp_path, splits=("val",))
    masks = sorted(tmp_path.rglob("*_indoors_*_mask.npy"))
    for mask in masks:
        mask.unlink()
    near = DiodeSource(location=str(tmp_path), part="indoors", max_depth=10)
    sample, truth = near[0], depths[near.pairs[0].id]
    assert sample.valid is not None and (sample.valid[0].numpy() == (truth <= 10)).all()
    assert "2 depth maps have no NAME_depth_mask.npy" in near.check()[0].message
    next(tmp_path.rglob("*_outdoor_*_depth.npy")).unlink()
    source = DiodeSource(location=str(tmp_path))
    assert len(source) == 3 and "1 image has no NAME_depth.npy and is left out" in source.check()[0].message


def test_it_passes_the_kit(tmp_path: Path) -> None:
    diode(tmp_path)
    check_source(DiodeSource, options={"location": str(tmp_path), "split": "train"})
