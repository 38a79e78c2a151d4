"""``kdcli data check`` and ``kdcli data show``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from kdcli.cli import data
from kdcli.errors import ConfigError, DataError
from kdcli.images import image_size, read_image
from kdcli.sources.sheet import paint_objects


def call(*words: object) -> Any:
    app = typer.Typer()
    data.register(app)
    app.callback()(lambda: None)
    return CliRunner().invoke(app, ["data", *map(str, words)])


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    for i in range(3):
        for folder, array in (
            ("rgb", np.full((12, 16, 3), 40 * i, np.uint8)), ("depth", np.full((12, 16), 1000 + i, np.uint16)),
        ):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(array).save(tmp_path / folder / f"{i}.png")
    return tmp_path


def test_check_as_json(pairs: Path) -> None:
    result = call("check", f"rgbd:{pairs}", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document == {
        "spec": f"rgbd:{pairs}", "n": 3, "read": 3, "depth_kind": "metric", "sizes": {"12x16": 3},
        "depth": {"min": 1.0, "median": pytest.approx(1.001), "max": pytest.approx(1.002), "holes": 0.0},
        "depth_histogram": [{"from": 1.0, "to": 1.259, "share": 1.0}], "depth_sizes": {"12x16": 3},
        "registration": None, "nyu": None, "objects": None, "findings": [],
    }


def test_check_for_people(pairs: Path) -> None:
    result = call("check", f"rgbd:{pairs},scale=1", "--quiet")
    assert result.exit_code == 0
    assert "3, of which 3 were read" in result.stdout and "12x16 (3)" in result.stdout
    assert "warning: median depth 1001 m at scale=1" in result.stdout and "scale=1000" in result.stdout
    assert "nothing is wrong" in call("check", f"rgbd:{pairs}").stdout


def test_histograms_for_people(pairs: Path) -> None:
    for i, size in enumerate(((20, 30), (30, 20), (21, 30)), 3):
        Image.fromarray(np.zeros((*size, 3), np.uint8)).save(pairs / "rgb" / f"{i}.png")
        Image.fromarray(np.full(size, 5000, np.uint16)).save(pairs / "depth" / f"{i}.png")
    said = call("check", f"rgbd:{pairs}").stdout.splitlines()
    assert any("4, height x width" in line for line in said)
    assert any(line.split() == ["12x16", 32 * "#", "3"] for line in said)
    assert sum("1-1.26" in line and "#" in line for line in said) == 1
    assert sum("3.98-5.01" in line and "#" in line for line in said) == 1


def test_check_against_another(pairs: Path, tmp_path: Path) -> None:
    spec, other = f"folder:{pairs}/rgb", f"folder:{tmp_path}/held"
    (tmp_path / "held").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    Image.fromarray(pixels).save(pairs / "rgb" / "x.png")
    Image.fromarray(pixels).save(tmp_path / "held" / "y.png")
    for workers in (0, 2):
        result = call("check", spec, "--against", other, "--workers", workers, "--json")
        document = json.loads(result.stdout)
        assert result.exit_code == 0 and document["against"]["exact"] == 1 and document["against"]["compared"] == [4, 1]
        assert document["against"]["pairs"][0]["other"] == f"{tmp_path}/held/y.png"
        assert document["findings"][-1]["path"] == f"{pairs}/rgb/x.png"
    assert f"1 images, and 0 nearly, with {other}" in call("check", spec, "--against", other).stdout


def test_check_reports_first_and_then_fails(pairs: Path) -> None:
    (pairs / "depth" / "1.png").write_bytes(b"")
    result = call("check", f"rgbd:{pairs}", "--json")
    assert isinstance(result.exception, DataError) and result.exception.exit_code == 4
    (finding,) = json.loads(result.stdout)["findings"]
    assert finding["level"] == "error" and finding["path"] == f"{pairs}/depth/1.png"


def test_check_of_what_is_not_there(tmp_path: Path) -> None:
    result = call("check", f"folder:{tmp_path}/nowhere", "--json")
    assert isinstance(result.exception, DataError) and result.stdout == ""


@pytest.mark.parametrize("spec", ["sim:rooms,count=3", "sim:blocks,count=3", "sim:interiors,count=3"])
def test_simulated_worlds(tmp_path: Path, spec: str) -> None:
    checked = json.loads(call("check", spec, "--json").stdout)
    assert checked["n"] == 3 and checked["depth_kind"] == "metric"
    assert not [finding for finding in checked["findings"] if finding["level"] == "error"]
    result = call("show", spec, "--out", tmp_path / "a.png", "--count", 2, "--json")
    assert result.exit_code == 0, result.exception
    document = json.loads(result.stdout)
    assert document["items"] == 2
    assert image_size(tmp_path / "a.png") == (document["height"], document["width"]) == (2 * 240 + 4, 3 * 320 + 8)


def test_show_draws_image_beside_depth(pairs: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "sheet.png"
    result = call("show", f"rgbd:{pairs}", "--out", out, "--count", 99)
    assert result.exit_code == 2  # more than can be looked at
    assert call("show", f"rgbd:{pairs}", "--out", out, "--count", 9).exit_code == 0
    sheet = read_image(out)
    assert sheet.shape == (3, 3 * 240 + 2 * 4, 2 * 320 + 4)
    for row, grey in enumerate((0, 40, 80)):
        assert torch_close(sheet[:, 244 * row + 120, 160], grey / 255)
    assert sheet[:, 242].min() == 1.0  # the gap
    assert sheet[:, 236, 2].max() == 0.0  # the ground of the words
    depth = sheet[:, 120, 500]
    assert depth.max() - depth.min() > 0.1  # painted, not grey


def torch_close(values: Any, expected: float) -> bool:
    return bool((values - expected).abs().max() < 0.01)


def test_show_of_images_alone(pairs: Path) -> None:
    assert call("show", f"folder:{pairs}/rgb", "--out", pairs / "a.png", "--count", 1).exit_code == 0
    assert image_size(pairs / "a.png") == (240, 320)


def test_show_of_what_training_sees(tmp_path: Path) -> None:
    settings = ("--set", "size=96x128", "--set", "crop=48x96", "--set", "rotate=5", "--set", "batch_size=4")
    for name, words in (("a", ()), ("b", ()), ("c", ("--seed", 1)), ("d", ("--recipe", "data-free", "--over"))):
        result = call("show", "sim:blocks,count=4", "--out", tmp_path / f"{name}.png", "--count", 6, *settings, *words)
        assert result.exit_code == 0, result.exception
    one, two, three, over = (read_image(tmp_path / f"{name}.png") for name in "abcd")
    assert tuple(one.shape) == (3, 6 * 244 - 4, 3 * 480 + 2 * 4)  # windows of 48x96, more than there are images
    assert bool((one == two).all()) and not bool((one == three).all())
    assert tuple(over.shape) == tuple(one.shape)
    wrong = call("show", "sim:blocks,count=4", "--out", tmp_path / "e.png", "--set", "crop=500x500")
    assert isinstance(wrong.exception, ConfigError) and "larger than size" in str(wrong.exception)


def test_depth_over_its_image(pairs: Path) -> None:
    assert call("show", f"rgbd:{pairs}", "--out", pairs / "a.png", "--count", 3, "--over").exit_code == 0
    assert call("show", f"rgbd:{pairs}", "--out", pairs / "b.png", "--count", 3).exit_code == 0
    over, beside = read_image(pairs / "a.png"), read_image(pairs / "b.png")
    for row, grey in enumerate((0, 40, 80)):
        y = 244 * row + 120
        assert torch_close(over[:, y, 160], grey / 255)
        assert torch_close(over[:, y, 500] - 0.35 * grey / 255 - 0.65 * beside[:, y, 500], 0.0)


def test_show_needs_a_picture_to_write(pairs: Path) -> None:
    result = call("show", f"rgbd:{pairs}", "--out", pairs / "a.xyz")
    assert isinstance(result.exception, ConfigError) and result.exception.exit_code == 1


def test_objects_keep_their_colour() -> None:
    import torch

    first = paint_objects(torch.tensor([[0, 3], [7, 3]]))
    second = paint_objects(torch.tensor([[3, 9]]))
    assert torch.equal(first[:, 0, 1], second[:, 0, 0]) and torch.equal(first[:, 1, 1], first[:, 0, 1])
    assert len({tuple(c.tolist()) for c in (first[:, 0, 0], first[:, 0, 1], first[:, 1, 0], second[:, 0, 1])}) == 4


def test_real_seven_scenes(shared: Path) -> None:
    result = call("check", f"rgbd:{shared}/data/7scenes_redkitchen/data,scale=1000,count=8", "--json")
    assert result.exit_code == 0 and json.loads(result.stdout)["n"] == 8
    bad = call("check", f"rgbd:{shared}/data/bad_inputs/rgb_gt_mismatch/dataset", "--json")
    assert isinstance(bad.exception, DataError) and "1241x376" in bad.stdout
