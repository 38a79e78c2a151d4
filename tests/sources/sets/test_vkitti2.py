"""Virtual KITTI 2 in the three ways in which it is unpacked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from trees_streets import FRAMES, SKY, WAYS, vkitti2

from kdcli.errors import ConfigError, DataError
from kdcli.sources.sets.vkitti2 import Vkitti2Source
from kdcli.testing import check_source


@pytest.mark.parametrize("way", WAYS)
def test_depth_comes_out_as_it_went_in(tmp_path: Path, way: str) -> None:
    stored = vkitti2(tmp_path, way)
    source = Vkitti2Source(location=str(tmp_path))
    assert len(source) == 2 * 2 * 2 * FRAMES and source.pairs[0].id == "Scene01/clone/Camera_0/00000"
    sample = source[0]
    assert sample.depth is not None and sample.valid is not None and sample.intrinsics is not None
    assert not sample.valid[0, 0].any() and sample.valid[0, 1:].all()
    np.testing.assert_allclose(sample.depth[0, 1:].numpy(), stored[1:] / 100, rtol=1e-6)
    assert sample.instances is not None and sample.instances.unique().tolist() == [0, 1, 4]
    other = source[FRAMES].intrinsics  # of the second camera, whose cy the text file gives as 188
    wanted = [725.0087 * 46 / 1242, 725.0087 * 15 / 375, 621 * 46 / 1242 - 0.5, 188.5 * 15 / 375 - 0.5]
    np.testing.assert_allclose(other, wanted, rtol=1e-5)
    assert not source.check()


def test_sky_is_none_or_what_it_says_and_never_a_cap(tmp_path: Path) -> None:
    stored = vkitti2(tmp_path)
    far = Vkitti2Source(location=str(tmp_path), sky="far")[0]
    assert far.depth is not None and far.valid is not None
    assert far.valid.all() and far.depth[0, 0].unique().tolist() == pytest.approx([SKY / 100])
    for sky in ("none", "far"):
        capped = Vkitti2Source(location=str(tmp_path), sky=sky, max_depth=80)[0]  # type: ignore[arg-type]
        assert capped.depth is not None and capped.valid is not None
        assert not capped.valid[0, 0].any() and not (capped.depth > 80).any()
        assert (capped.valid[0].numpy() == (stored <= 8000)).all()
    with pytest.raises(ConfigError, match="max_depth=0 is not above 0"):
        Vkitti2Source(location=str(tmp_path), max_depth=0)


def test_scenes_are_in_or_out(tmp_path: Path) -> None:
    vkitti2(tmp_path)
    at = str(tmp_path)
    train, val = (Vkitti2Source(location=at, split=split) for split in ("train", "val"))  # type: ignore[arg-type]
    assert {pair.id[:7] for pair in train.pairs} == {"Scene01"} and {pair.id[:7] for pair in val.pairs} == {"Scene20"}
    other = Vkitti2Source(location=at, split="val", holdout="Scene01", variations="clone+fog", cameras="Camera_1")
    assert {pair.id[:7] for pair in other.pairs} == {"Scene01"} and len(other) == 2 * FRAMES
    assert len(Vkitti2Source(location=at, variations="fog", scenes="Scene20")) == 2 * FRAMES
    with pytest.raises(ConfigError, match=r"variations=rain: '.*' has no 'rain'; known are clone, fog"):
        Vkitti2Source(location=at, variations="rain")
    part = Vkitti2Source(location=at, split="train", scenes="Scene01", holdout="Scene06+Scene20")
    assert len(part) == 4 * FRAMES  # held out, and not on this disk
    with pytest.raises(ConfigError, match=r"holdout=Scene2: .* has no 'Scene2'; known are Scene01, Scene02"):
        Vkitti2Source(location=at, split="train", holdout="Scene2")
    with pytest.raises(ConfigError, match="split=val leaves no frame of"):
        Vkitti2Source(location=at, split="val", holdout="Scene06")


def test_a_list_names_frames(tmp_path: Path) -> None:
    vkitti2(tmp_path, "short")
    frames = "/somewhere/vKITTI2/rgb/Scene20/fog/frames/rgb/Camera_1/rgb_0000{}.jpg /somewhere/depth/x.png"
    (tmp_path / "val.txt").write_text("\n".join(frames.format(i) for i in (2, 0)))
    source = Vkitti2Source(location=str(tmp_path), list="val.txt")
    assert [pair.id for pair in source.pairs] == ["Scene20/fog/Camera_1/00002", "Scene20/fog/Camera_1/00000"]
    (tmp_path / "val.txt").write_text(frames.format(9))
    with pytest.raises(DataError, match=r"val\.txt' line 1 names Scene20/fog/Camera_1/00009, which is not in"):
        Vkitti2Source(location=str(tmp_path), list="val.txt")


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    vkitti2(tmp_path, "archives", ids=False)
    (tmp_path / "vkitti_2.0.3_depth/Scene01/fog/frames/depth/Camera_0/depth_00001.png").unlink()
    source = Vkitti2Source(location=str(tmp_path))
    assert not source.has_instances and len(source) == 8 * FRAMES - 1
    assert "1 image has no depth map and is left out" in source.check()[0].message
    (tmp_path / "vkitti_2.0.3_textgt/Scene01/clone/intrinsic.txt").write_text("frame cameraID\n0 0 725 725\n")
    with pytest.raises(DataError, match=r"intrinsic\.txt' line 2 is not 'frame cameraID fx fy cx cy'"):
        Vkitti2Source(location=str(tmp_path))[0]
    with pytest.raises(DataError, match="has no Scene01/clone/frames/rgb"):
        Vkitti2Source(location=str(tmp_path / "vkitti_2.0.3_rgb"))


def test_it_passes_the_kit(tmp_path: Path) -> None:
    vkitti2(tmp_path)
    check_source(Vkitti2Source, options={"location": str(tmp_path)})
