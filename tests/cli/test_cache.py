from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from kdcli.cli import cache
from kdcli.errors import ConfigError, DataError, KdcliError

app = typer.Typer()
app.callback()(lambda: None)
cache.register(app)


def call(*words: str | Path) -> Any:
    result = CliRunner().invoke(app, ["cache", "--device", "cpu", *map(str, words)], catch_exceptions=True)
    if isinstance(result.exception, KdcliError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture
def given(tmp_path: Path) -> list[str]:
    """The demo teacher and three pictures."""
    (tmp_path / "pictures").mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (32, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{number}.png")
    return ["--teacher", "demo", "--data", f"folder:{tmp_path / 'pictures'}", "--out", str(tmp_path / "out")]


def test_a_folder_is_made_completed_and_checked(given: list[str], tmp_path: Path) -> None:
    told = json.loads(call(*given, "--json").stdout)
    assert told["made"] == told["images"] == 3 and told["caches"][0]["size"] == [32, 48]
    assert "0 made, 3 were there" in call(*given).stdout
    assert "all sound" in call(*given, "--verify").stdout
    next((tmp_path / "out").rglob("*/*/*.png")).unlink()
    with pytest.raises(DataError, match="1 of 3 maps"):
        call(*given, "--verify")
    assert "1 made, 2 were there" in call(*given).stdout


def test_what_does_not_fit_is_one_line(given: list[str]) -> None:
    call(*given)
    for more, message in (
        (["--size", "64x64"], "32x48 pixels, not 64x64"),
        (["--flip"], "flip False, not True"),
        (["--storage", "float32"], "storage png16, not float32"),
        (["--max-depth", "80"], "belongs to --layout gt-kd"),
    ):
        with pytest.raises(ConfigError, match=message) as caught:
            call(*given, *more)
        assert "\n" not in str(caught.value)


def test_the_authors_layout_asks_for_its_scale(given: list[str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nobody says what 65535 means"):
        call(*given, "--layout", "gt-kd")
    assert not (tmp_path / "out").exists()
    call(*given, "--layout", "gt-kd", "--max-depth", "10")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["0.png", "1.png", "2.png", "kdcli.json"]
