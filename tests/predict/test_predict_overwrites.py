"""``kdcli predict`` and ``export`` write over what they wrote themselves, and over nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from kdcli.cli.app import app
from kdcli.errors import ConfigError, DataError
from kdcli.plugins import registry
from kdcli.students.files import save_student


@pytest.fixture
def photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.full((48, 64, 3), 99, np.uint8)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


@pytest.mark.parametrize("name", ["a.json", "a.depth.png", "a.colour.png", "a.depth.npy"])
def test_files_of_others_are_not_written_over(photo: Path, name: str) -> None:
    mine = photo.with_name(name)
    mine.write_text('{"caption": "precious"}')
    done = CliRunner().invoke(app, ["predict", "teacher:demo", "a.png", "--out", "."])
    assert isinstance(done.exception, DataError) and f"'{name}' is there and was not written by" in str(done.exception)
    assert mine.read_text() == '{"caption": "precious"}'
    assert sorted(path.name for path in photo.parent.iterdir()) == sorted([name, "a.png"])


def test_ones_own_are(photo: Path) -> None:
    for _ in range(2):
        done = CliRunner().invoke(app, ["predict", "teacher:demo", "a.png", "--out", "out"])
        assert done.exit_code == 0, done.exception


def test_an_export_does_not_replace_its_model(photo: Path) -> None:
    model = photo.with_name("student.safetensors")
    save_student(model, registry.build("student", "mobilenet,width=0.35"), "mobilenet,width=0.35", {})
    before = model.read_bytes()
    done = CliRunner().invoke(app, ["export", "student.safetensors", "--out", "./student.safetensors"])
    assert isinstance(done.exception, ConfigError) and "is the model itself" in str(done.exception)
    assert model.read_bytes() == before
