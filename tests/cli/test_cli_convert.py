from __future__ import annotations

import json
from pathlib import Path

import pytest
import trees
from typer.testing import CliRunner

from kdcli.cli.app import app
from kdcli.convert import LAYOUTS
from kdcli.errors import ConfigError, DataError


def call(*words: str | Path) -> tuple[int, str, BaseException | None]:
    told = CliRunner().invoke(app, ["data", "convert", *map(str, words)])
    return told.exit_code, told.output, told.exception


def test_a_line_says_what_was_written_and_how_it_is_read(tmp_path: Path) -> None:
    data, out = trees.rgbd(tmp_path / "in", 3), tmp_path / "out"
    code, said, _ = call(data, "--out", out, "--to", "folder", "--size", "24x32", "--workers", "0")
    assert code == 0
    assert f"{out}: 3 images, depth up to 2 m at 1000 units per metre; read them with folder:{out}" in said
    code, said, _ = call(data, "--out", out, "--to", "folder", "--size", "24x32", "--workers", "0", "--json")
    assert code == 0 and json.loads(said) == {
        "out": str(out), "layout": "folder", "images": 3, "made": 0, "kept": 3, "left_out": 0, "shards": 0,
        "scale": 1000, "furthest": 2, "beyond_max_depth": {"pixels": 0, "images": 0}, "read_with": f"folder:{out}",
    }


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    data = trees.rgbd(tmp_path / "in", 2, 5000)
    code, said, _ = call(data, "--out", tmp_path / "out", "--max-depth", "4", "--workers", "0")
    assert code == 0 and f"{2 * 48 * 64} pixels of 2 images are farther than 4 m and left out" in said


def test_errors_have_their_class(tmp_path: Path) -> None:
    data = trees.rgbd(tmp_path / "in", 2)
    assert isinstance(call(data, "--out", tmp_path / "in")[2], ConfigError)
    assert isinstance(call(f"rgbd:{tmp_path / 'nowhere'}", "--out", tmp_path / "out")[2], DataError)
    assert call(data, "--out", tmp_path / "out", "--to", "yolo")[0] == 2


@pytest.mark.parametrize("layout", LAYOUTS)
def test_help_names_every_layout(layout: str) -> None:
    from kdcli.cli.data_convert import Layouts

    assert layout in Layouts.__args__  # type: ignore[attr-defined]
