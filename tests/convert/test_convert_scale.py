"""Depth never wraps: the scale holds all of it, or the conversion is refused with the number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from conversions import readable, scene, truth, written
from PIL import Image

from kdcli.convert import scale
from kdcli.convert.asked import Asked
from kdcli.convert.parts import parts_of
from kdcli.convert.scale import furthest_within, scale_for
from kdcli.errors import ConfigError
from kdcli.images import depth_units
from kdcli.remarks import heard


def test_the_sources_own_scale_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "_furthest", None)  # no map is decoded to find it
    data = f"{scene(tmp_path / 'in', units=256, far=80)},scale=256"
    report = written(data, tmp_path / "out", "folder", image="png")
    assert report.scale == 256
    source = readable(report.spec)
    assert source is not None
    known = truth(data)
    for index in range(len(source)):
        sample = source[index]
        depth = min(known, key=lambda pair: float((pair[0] - sample.image).abs().max()))[1]
        assert sample.depth is not None and torch.equal(sample.depth[0], depth)


@pytest.mark.parametrize(("far", "chosen"), [(65.0, 1000), (65.6, 256), (300.0, 100), (900.0, 10), (7000.0, 1)])
def test_floats_get_the_finest_scale_that_holds_them(far: float, chosen: float, tmp_path: Path) -> None:
    report = written(scene(tmp_path / "in", 1, units=None, far=far), tmp_path / "out", "ultralytics")
    assert report.scale == chosen and report.far == pytest.approx(far)
    stored = np.array(Image.open(tmp_path / "out" / "depth" / "train" / "kitchen" / "0000.png"))
    assert stored.max() == round(far * chosen)
    assert f"depth_scale: {chosen:g} " in (tmp_path / "out" / "data.yaml").read_text()


def test_floats_packed_into_pictures_are_not_taken_for_whole_numbers(tmp_path: Path) -> None:
    depth = np.random.default_rng(0).uniform(1, 30, (12, 16)).astype("<f4")
    drive = tmp_path / "World" / "Data_easy" / "P000"
    for part, picture in (
        ("image_lcam_front/000000_lcam_front.png", Image.new("RGB", (16, 12))),
        # OpenCV has blue first.
        ("depth_lcam_front/000000_lcam_front_depth.png",
         Image.fromarray(depth.view(np.uint8).reshape(12, 16, 4)[..., [2, 1, 0, 3]].copy(), "RGBA")),
    ):
        (drive / part).parent.mkdir(parents=True, exist_ok=True)
        picture.save(drive / part)
    report = written(f"tartanair:{tmp_path / 'World'}", tmp_path / "out", "folder")
    assert report.scale == 1000
    source = readable(report.spec)
    assert source is not None and source[0].depth is not None
    np.testing.assert_allclose(source[0].depth[0].numpy(), depth, atol=0.00051)


def test_steps_that_become_coarse_for_something_far_are_told(tmp_path: Path) -> None:
    said: list[str] = []
    with heard(said.append):
        written(scene(tmp_path / "in", 1, units=None, far=300), tmp_path / "fine", "folder")
        assert said == []
        written(scene(tmp_path / "in", 1, units=None, far=9000), tmp_path / "coarse", "folder")
    assert len(said) == 1 and "depth reaches 9000 m, so it is written in steps of 1 m: --max-depth 655" in said[0]


def test_units_that_readers_take_for_granted_are_kept_or_refused_with_the_number(tmp_path: Path) -> None:
    data = scene(tmp_path / "in", 1, far=14.5)
    with pytest.raises(ConfigError, match=r"reaches 14\.5 m, and 16 bits at 5000 units per metre hold 13\.1069 m"):
        written(data, tmp_path / "out", "tum")
    assert not (tmp_path / "out").exists()
    report = written(data, tmp_path / "out", "tum", max_depth=13.0)
    assert report.beyond["images"] == 2 and report.beyond["pixels"] > 0 and report.far is not None
    assert 12.8 < report.far <= 13


def test_a_scale_that_is_too_fine_is_refused_with_one_that_is_not(tmp_path: Path) -> None:
    data = scene(tmp_path / "in", 1, units=None, far=80)
    with pytest.raises(ConfigError, match=r"reaches 80 m.*--scale 256 holds it.*--max-depth 65 .*--depth npy"):
        written(data, tmp_path / "out", "shards", scale=1000)
    assert written(data, tmp_path / "out", "shards", scale=500).scale == 500


def test_what_is_left_out_is_none_and_not_the_limit(tmp_path: Path) -> None:
    report = written(scene(tmp_path / "in", 1), tmp_path / "out", "folder", max_depth=2.99)
    stored = np.array(Image.open(tmp_path / "out" / "depth" / "kitchen" / "0000.png"))
    assert report.far is not None and stored.max() == round(report.far * 1000) < 2990
    assert (stored == 0).sum() == 40 + report.beyond["pixels"] / 2


@pytest.mark.parametrize("units", [1000.0, 256.0, 5000.0, 6553.5])
def test_the_limit_of_a_scale_is_the_last_depth_that_fits(units: float) -> None:
    last = np.nextafter(furthest_within(units), 0)
    assert depth_units(torch.tensor([[last]], dtype=torch.float64), scale=units, name="a").max() == 65534


def test_holes_with_any_number_do_not_count(tmp_path: Path) -> None:
    data = scene(tmp_path / "in", 1, units=None)
    path = next((tmp_path / "in").rglob("*.npy"))
    grid = np.load(path)
    grid[0, :4] = np.nan, np.inf, -5, 1e9
    np.save(path, grid)
    asked = Asked(data=data, layout="shards")
    assert scale_for(asked, parts_of(asked, None), 0, lambda *_: None) == 1000


def test_the_scale_of_two_sources_holds_both(tmp_path: Path) -> None:
    near, far = scene(tmp_path / "near", 1), scene(tmp_path / "far", 1, units=256, far=90)
    report = written(near, tmp_path / "out", "ultralytics", val=far)
    assert report.scale == 1000  # the second lies unsaid in units of 1/1000 m, and so within 23 m
    report = written(near, tmp_path / "other", "ultralytics", val=f"{far},scale=256")
    assert report.scale == 256 and report.far == pytest.approx(90)


def test_readers_that_know_two_scales_get_one_of_them(tmp_path: Path) -> None:
    assert written(scene(tmp_path / "in", 1), tmp_path / "out", "marigold").scale == 1000
    street = f"{scene(tmp_path / 'street', 1, units=500, far=80)},scale=500"
    assert written(street, tmp_path / "far", "marigold").scale == 256
    with pytest.raises(ConfigError, match="readers of the layout marigold know 1000 and 256 alone"):
        written(street, tmp_path / "no", "marigold", scale=500)
