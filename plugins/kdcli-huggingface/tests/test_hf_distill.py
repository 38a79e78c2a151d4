"""A student taught by a model of transformers, through the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kdcli.cli.app import app
from kdcli.errors import ConfigError

RECIPE = """
[run]
student = "mobilenet,width=0.35"
export = "none"
[[stage]]
name = "train"
teachers = ["hf:{folder}"]
data = "sim:rooms,count=4"
size = "64x64"
batch_size = 2
losses = {{ silog = 1.0, gradient = 0.5 }}
steps = 3
lr = 1e-3
"""


def test_a_student_learns_from_it(
    model: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = model("glpn")
    (folder / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n")
    (tmp_path / "tiny.toml").write_text(RECIPE.format(folder=folder))
    result = CliRunner().invoke(app, ["distill", "--recipe", "tiny.toml", "--out", "run"])
    assert result.exit_code == 0, (result.output, result.exception)
    from kdcli.students.files import read_card

    assert "cc-by-nc-4.0" in str(read_card(tmp_path / "run" / "student.safetensors"))
    models = ["run", f"teacher:hf:{folder}", f"teacher:hf:{model('dpt')}"]
    result = CliRunner().invoke(
        app, ["eval", *models, "--data", "sim:rooms,count=2,seed=7", "--size", "64x64", "--json"]
    )
    assert result.exit_code == 0, (result.output, result.exception)
    assert "affine_disparity" in json.dumps(json.loads(result.stdout))


def test_disparity_is_not_taught_to_a_metric_student(
    model: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(RECIPE.format(folder=model("dpt")))
    result = CliRunner().invoke(app, ["distill", "--recipe", "tiny.toml", "--out", "run"])
    assert isinstance(result.exception, ConfigError) and "affine_disparity" in str(result.exception)
