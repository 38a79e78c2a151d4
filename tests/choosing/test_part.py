"""Commands that do a part of a run follow the teacher too, where nobody says images and size."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import ROOM, built, photos
from typer.testing import CliRunner

from kdcli.choosing.part import images_for
from kdcli.cli.app import app
from kdcli.training.single import fit_transform


def test_images_and_size_follow_the_teacher(tmp_path: Path) -> None:
    assert images_for("mine", None, None, built(ROOM)) == ("sim:interiors,count=3000", (64, 96))
    data = photos(tmp_path, 2, 60, 80)
    assert images_for("mine", data, None, built(None)) == (data, (60, 80))
    assert images_for("mine", data, (32, 48), built(ROOM)) == (data, (32, 48))
    assert images_for("demo", None, None, built()) == ("sim:blocks,count=3000", (64, 96))


def test_a_transformation_is_fitted_at_the_teachers_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stages = []
    monkeypatch.setattr(fit_transform, "fit_stage", lambda shop, stage, *_: (stages.append((shop, stage)), []))
    monkeypatch.setattr(fit_transform, "load", lambda path: (None, {"before": 2, "after": 1}))
    words = ["fit-transform", "--teacher", "demo", "--steps", "1", "--batch-size", "2", "--out", "f.safetensors"]
    told = CliRunner().invoke(app, [*words, "--device", "cpu", "--json"])
    assert told.exit_code == 0, told.exception
    ((shop, stage),) = stages
    assert (stage.data, stage.size) == ("sim:blocks,count=3000", (64, 96)) and "demo" in shop.built.teachers


def test_statistics_are_not_recorded_on_just_any_images() -> None:
    told = CliRunner().invoke(app, ["fit-transform", "--teacher", "demo", "--record", "s.safetensors"])
    assert "--record needs the images that the teacher should see" in str(told.exception)
