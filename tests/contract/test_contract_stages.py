"""Stages that train something else: what they come to, and what of it goes on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from contract_runs import Prototype
from torch import nn

import kdcli
from kdcli.plugins.registry import build
from kdcli.students.files import read_card
from kdcli.training.loop import checkpoint
from kdcli.training.run.folder import RunFolder
from kdcli.training.run.job import distill
from kdcli.training.run.workshop import Workshop

IMAGE = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(0))


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.slow
def test_an_assistant_is_deployed_with_its_student(installed: Path, tmp_path: Path) -> None:
    prototype = Prototype(recipe="residual", folder=tmp_path)
    config = replace(prototype.config("export=onnx"), twin=None)
    result = distill(config, out=tmp_path / "run")
    parts = count(build("student", "tiny,width=6")) + count(build("student", "tiny,width=4")) + 1
    model = kdcli.load_model(result.run)
    assert count(model) == parts
    assert result.export is not None
    exported = kdcli.load_model(result.export)
    with torch.inference_mode():
        whole, file, alone = model(IMAGE).depth, exported(IMAGE).depth, model.base(IMAGE).depth  # type: ignore[operator]
    assert torch.allclose(whole, file, rtol=1e-3, atol=1e-3)
    assert not torch.allclose(whole, alone, rtol=1e-3, atol=1e-3)
    parity = json.loads((result.run / "manifest.json").read_text())["export"]["parity"]
    assert "largest relative difference" in parity


def test_an_assistant_learns_while_its_base_stays_and_the_other_way_round(installed: Path, tmp_path: Path) -> None:
    prototype = Prototype(recipe="residual", folder=tmp_path)
    begun, _ = Workshop(config=prototype.config(), device=torch.device("cpu")).student()
    run = prototype.stopped("student", "assistant", 3)
    first = checkpoint_of(run, "base")["student"]
    second = checkpoint.read(RunFolder(run).state)["student"]
    for name, value in begun.state_dict().items():
        frozen, learning = (first, second) if name.startswith("assistant.") else (second, first)
        assert torch.equal(frozen[name], value if name.startswith("assistant.") else first[name]), name
        if value.is_floating_point() and "bias" not in name:
            before = value if name.startswith("base.") else first[name]
            assert not torch.equal(learning[name], before), name


def test_an_auxiliary_teacher_is_a_student_of_its_own_and_hands_its_licences_on(
    installed: Path, tmp_path: Path
) -> None:
    run = Prototype(recipe="auxiliary", folder=tmp_path).run("run")
    aux = run / "stages" / "aux.safetensors"
    assert count(kdcli.load_model(aux)) == count(build("student", "tiny,width=12"))
    assert kdcli.load_model(f"teacher:run:{aux}")(IMAGE).depth.shape == (1, 1, 16, 24)
    card = read_card(aux)
    assert (card["licence"], card["stage"]) == ("CC-BY-NC-4.0", "aux")
    assert [row["training_data"] for row in card["teachers"]] == ["photographs"]
    final = read_card(run / "student.safetensors")
    assert final["licence"] == "CC-BY-NC-4.0, MIT"
    assert sorted(row["training_data"] for row in final["teachers"]) == ["nothing", "photographs"]
    assert read_card(run / "twin" / "student.safetensors")["licence"] == "CC-BY-NC-4.0, MIT"


def test_licences_come_through_a_chain_of_networks_and_of_stages(installed: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "chain.toml"
    recipe.write_text(CHAIN, encoding="utf-8")
    run = Prototype(recipe=str(recipe), folder=tmp_path).run("run")
    assert read_card(run / "stages" / "wide-again.safetensors")["licence"] == "A, B"
    assert read_card(run / "stages" / "light.safetensors")["licence"] == "A, B"
    assert read_card(run / "student.safetensors")["licence"] == "A, B, C"
    first, second = (kdcli.load_model(run / "stages" / f"{name}.safetensors") for name in ("wide", "wide-again"))
    assert not torch.equal(first.head[1].weight, second.head[1].weight)  # type: ignore[index,union-attr]


@pytest.mark.parametrize("recipe", ["align-frozen", "align-trained"])
def test_modules_of_an_alignment_go_on(installed: Path, tmp_path: Path, recipe: str) -> None:
    prototype = Prototype(recipe=recipe, folder=tmp_path)
    begun, _ = Workshop(config=prototype.config(), device=torch.device("cpu")).student()
    run = prototype.stopped("student", "main", 3)
    first, second = checkpoint_of(run, "align"), checkpoint.read(RunFolder(run).state)
    for name, value in begun.state_dict().items():
        assert torch.equal(first["student"][name], value), name  # frozen: weights and running statistics
    before = first["modules"]["align"]
    after = {name.removeprefix("align."): value for name, value in second["plugins"].items()}
    assert before.keys() == after.keys() and any("running_mean" in name for name in before)
    same = {name for name, value in before.items() if torch.equal(value, after[name])}
    if recipe == "align-frozen":
        assert same == before.keys()
    else:
        assert same == {"centre"}
    notes = [row["note/align.batches"] for row in RunFolder(run).metrics()]
    assert notes == [1, 2, 3, 4, 5, 6]  # what it kept goes on as well


def checkpoint_of(run: Path, stage: str) -> dict[str, Any]:
    """Return what is kept of a stage of the run's student until the run is finished."""
    return torch.load(run / "checkpoints" / f"student.{stage}.pt", weights_only=True)  # type: ignore[no-any-return]


CHAIN = """
[run]
student = "tiny,width=4"
eval_data = "none"
export = "none"
[defaults]
data = "sim:blocks,count=8"
size = "32x48"
batch_size = 4
steps = 1
losses = { log-l1 = 1.0 }
[[stage]]
name = "wide"
student = "tiny,width=6"
teachers = ["tiny-teacher,number=1,licence=A"]
[[stage]]
name = "wide-again"
student = "stage:wide"
teachers = ["tiny-teacher,number=2,licence=B"]
[[stage]]
name = "light"
student = "tiny,width=5"
teachers = ["stage:wide-again"]
[[stage]]
name = "before"
teachers = ["tiny-teacher,number=3,licence=C"]
[[stage]]
name = "last"
teachers = ["stage:light"]
"""
