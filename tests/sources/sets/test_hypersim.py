"""Hypersim as it is published and as Marigold processed it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from trees_rooms import FOCAL, SIZE, WALL, colours, hypersim, processed

from kdcli.errors import ConfigError, DataError
from kdcli.sources.sets.hypersim import HypersimSource
from kdcli.sources.sets.tonemap import tone_mapped
from kdcli.testing import check_source


def test_a_wall_comes_out_flat(tmp_path: Path) -> None:
    hypersim(tmp_path)
    source = HypersimSource(location=str(tmp_path))
    assert [pair.id for pair in source.pairs] == [
        "ai_001_001/cam_00/0000", "ai_001_001/cam_00/0047", "ai_003_010/cam_00/0000", "ai_003_010/cam_00/0047",
    ]
    sample = source[1]
    assert sample.depth is not None and sample.valid is not None and sample.intrinsics is not None
    assert not sample.valid[0, :2].any() and sample.valid[0, 2:].all() and not sample.depth[0, :2].any()
    np.testing.assert_allclose(sample.depth[0, 2:].numpy(), WALL, rtol=1e-6)
    np.testing.assert_allclose(sample.intrinsics, [FOCAL, FOCAL, 15.5, 11.5], rtol=1e-6)
    assert sample.instances is not None and sample.instances.unique().tolist() == [0, 3, 17]
    assert not source.check()
    capped = HypersimSource(location=str(tmp_path), max_depth=2)[0]
    assert capped.valid is not None and not capped.valid.any()


def test_linear_colours_are_mapped_as_the_preview_is(tmp_path: Path) -> None:
    hypersim(tmp_path, preview=False)
    source = HypersimSource(location=str(tmp_path))
    image = source[0].image.numpy()
    linear = colours(0).astype(np.float64)
    bright = np.percentile((linear @ [0.3, 0.59, 0.11])[2:], 90)  # where something was hit
    wanted = np.clip((linear * 0.8**2.2 / bright) ** (1 / 2.2), 0, 1).transpose(2, 0, 1)
    assert image.shape == (3, *SIZE)
    np.testing.assert_allclose(image, wanted, atol=2e-4)
    assert np.percentile((image[:, 2:] ** 2.2).transpose(1, 2, 0) @ [0.3, 0.59, 0.11], 50) < 0.8**2.2
    check_source(HypersimSource, options={"location": str(tmp_path)})


def test_what_the_tone_map_does_without_light_or_without_pixels() -> None:
    dark = np.full((2, 2, 3), 1e-5, np.float32)
    assert not tone_mapped(dark, np.ones((2, 2), bool)).any()
    grey = tone_mapped(np.full((2, 2, 3), 0.5), np.zeros((2, 2), bool))
    np.testing.assert_allclose(grey, 0.5 ** (1 / 2.2), rtol=1e-6)
    odd = np.array([[[np.nan, -1, np.inf], [0.4, 0.4, 0.4]]], np.float32)
    assert np.isfinite(tone_mapped(odd, np.array([[False, True]]))).all()


def test_which_image(tmp_path: Path) -> None:
    hypersim(tmp_path)
    names = {how: str(HypersimSource(location=str(tmp_path), image=how).pairs[0].image) for how in ("preview", "hdr")}  # type: ignore[arg-type]
    assert names["preview"].endswith("images/scene_cam_00_final_preview/frame.0000.tonemap.jpg")
    assert names["hdr"].endswith("images/scene_cam_00_final_hdf5/frame.0000.color.hdf5:dataset")
    bare = tmp_path / "bare"
    hypersim(bare, hdr=False)
    with pytest.raises(DataError, match=r"geometry_hdf5 \(image=hdr\)"):
        HypersimSource(location=str(bare), image="hdr")


def test_splits_are_those_of_the_table(tmp_path: Path) -> None:
    hypersim(tmp_path)
    at = str(tmp_path)
    assert {pair.id[:10] for pair in HypersimSource(location=at, split="val").pairs} == {"ai_003_010"}
    with pytest.raises(ConfigError, match="split=test: none of its 0 frames"):
        HypersimSource(location=at, split="test")
    table = tmp_path / "metadata_images_split_scene_v1.csv"
    text = table.read_text()
    table.write_text(text + "ai_009_001,cam_00,3,True,,train\n")
    found = HypersimSource(location=at, split="train").check()
    assert [finding.level for finding in found] == ["info"] and "2 of the 3 frames of split=train" in found[0].message
    table.rename(tmp_path / "own.csv")
    assert len(HypersimSource(location=at, split="train", splits="own.csv")) == 2
    with pytest.raises(ConfigError, match="has neither a folder train nor metadata_images_split_scene"):
        HypersimSource(location=at, split="train")
    (tmp_path / "own.csv").write_text("scene_name,camera_name\n")
    with pytest.raises(DataError, match=r"own\.csv' has no column 'frame_id'"):
        HypersimSource(location=at, split="train", splits="own.csv")


def test_the_processed_form(tmp_path: Path) -> None:
    stored = processed(tmp_path)
    source = HypersimSource(location=str(tmp_path), split="train")
    assert [pair.id for pair in source.pairs] == ["ai_001_001/cam_01/0000", "ai_001_001/cam_01/0047"]
    sample = source[0]
    assert sample.depth is not None and sample.valid is not None and not source.has_instances
    assert (sample.valid[0].numpy() == (stored > 0)).all()
    np.testing.assert_allclose(sample.depth[0].numpy(), stored / 1000, rtol=1e-6)  # along the axis already
    assert len(HypersimSource(location=str(tmp_path / "val"))) == 2


def test_what_is_missing_or_broken_is_said(tmp_path: Path) -> None:
    hypersim(tmp_path)
    geometry = tmp_path / "ai_001_001/images/scene_cam_00_geometry_hdf5"
    (geometry / "frame.0000.depth_meters.hdf5").unlink()
    source = HypersimSource(location=str(tmp_path))
    assert len(source) == 3 and "1 image has no depth and is left out" in source.check()[0].message
    (geometry / "frame.0047.render_entity_id.hdf5").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(DataError, match=r"render_entity_id\.hdf5' is a Git LFS pointer"):
        source[0]
    with pytest.raises(DataError, match="has no ai_VVV_NNN/images"):
        HypersimSource(location=str(tmp_path / "ai_001_001"))
