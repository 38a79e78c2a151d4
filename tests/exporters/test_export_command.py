from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import typer
from PIL import Image
from typer.testing import CliRunner

from kdcli import models
from kdcli.cli import export as commands
from kdcli.errors import PluginError, SpecError
from kdcli.exporters.card import card_of, describe, fingerprint
from kdcli.students.files import save_student
from kdcli.testing import ToyDepth


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    monkeypatch.setattr(models, "load_model", lambda text, *rest: ToyDepth().eval())
    app = typer.Typer()
    commands.register(app)
    return app


def test_export_prints_what_was_proved(app: typer.Typer, tmp_path: Path) -> None:
    file = tmp_path / "m.pt2"
    for i in range(3):
        Image.new("RGB", (64, 48), (80 * i, 40, 90)).save(tmp_path / f"{i}.png")
    common = ["m", "--format", "pt2", "--out", str(file), "--size", "32x48", "--images", str(tmp_path)]
    told = json.loads(CliRunner().invoke(app, [*common, "--json"]).stdout)
    assert told["verified"] and told["size"] == [32, 48] and told["bytes"] == file.stat().st_size
    assert [drift["shape"] for drift in told["drift"]] == [[1, 3, 32, 48]]
    assert told["notes"] == ["the batch is fixed to 1"]  # it calls len(image)
    shown = CliRunner().invoke(app, [*common, "--no-verify"]).stdout
    assert "images of 32x48" in shown and "not verified" in shown


def test_wrong_words_are_answered_before_anything_is_loaded(app: typer.Typer, tmp_path: Path) -> None:
    out = ["--out", str(tmp_path / "x.onnx")]
    assert isinstance(CliRunner().invoke(app, ["m", "--format", "onyx", *out]).exception, PluginError)
    assert isinstance(CliRunner().invoke(app, ["m", "--size", "big", *out]).exception, SpecError)
    assert not list(tmp_path.iterdir())


def test_the_card_of_a_student_travels(tmp_path: Path) -> None:
    toy = ToyDepth()
    save_student(tmp_path / "s.safetensors", toy, "toy,width=2", {"licence": "MIT", "training_data": "sim:blocks"})
    card = card_of(str(tmp_path / "s.safetensors"))
    assert card["licence"] == "MIT" and card_of("teacher:demo") == {} == card_of(str(tmp_path / "none.safetensors"))
    facts = describe(toy, card)
    assert facts["student"] == "toy,width=2" and facts["training_data"] == "sim:blocks"
    assert facts["unit"] == "m" and facts["sha256"] == fingerprint(toy)
    with torch.no_grad():
        next(toy.parameters()).add_(1)
    assert describe(toy, card)["sha256"] != facts["sha256"]
