"""How a student is trained: order of memory, what is compiled; written down, taken up again, gone afterwards."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_teacher_engine import TEXT, Told
from torch import Tensor, nn

from kdcli.config import RunConfig, load
from kdcli.errors import ConfigError
from kdcli.training.run import compiling, student_form
from kdcli.training.run.compiling import Compiled, held_against, require_compiler
from kdcli.training.run.job import distill, resumable
from kdcli.training.run.results import RUN
from kdcli.training.run.student_form import order_ratio, require_form
from kdcli.training.run.workshop import Workshop
from kdcli.weights import load_state

CPU = torch.device("cpu")


def config(*settings: str, twin: bool = False) -> RunConfig:
    return load("tiny", TEXT, {"eval_data": "none"}, settings, twin=twin)


def trained(folder: Path, *settings: str, stop_at: int = 0, twin: bool = False) -> tuple[Told, dict[str, Any]]:
    told = Told(stop_at)
    try:
        distill(config(*settings, twin=twin), out=folder, device=CPU, progress=told, loggers=())
    except KeyboardInterrupt:
        assert stop_at
    return told, json.loads((folder / "manifest.json").read_text())


def same(one: Path, other: Path) -> bool:
    first, second = (load_state(folder / "student.safetensors") for folder in (one, other))
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiler traces and checks as always, and then runs PyTorch's own operators: seconds in place of minutes."""
    monkeypatch.setattr(compiling, "BACKEND", "eager")


@pytest.mark.slow
def test_a_compiled_run_is_the_plain_one_written_down_and_goes_on(
    tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[bool] = []
    forward = Compiled.forward
    monkeypatch.setattr(
        Compiled, "forward", lambda self, image: (passes.append(image.requires_grad), forward(self, image))[1]
    )
    trained(tmp_path / "plain")
    told, manifest = trained(tmp_path / "compiled", "compile=default")
    assert len(passes) == 1 + 4  # once to see that it is the student, then in each step
    form = manifest["student_form"][f"{RUN}.train"]
    assert form["student"] and form["losses"] == ["l1"] and form["difference"] < 1e-5
    assert any("compiled: the student, loss 'l1'" in note for note in told.notes)
    assert same(tmp_path / "plain", tmp_path / "compiled")  # the same operators, and the same names

    _, stopped = trained(tmp_path / "stopped", "compile=default", stop_at=1)
    assert stopped["state"] == "interrupted"
    distill(resumable(tmp_path / "stopped"), resume=tmp_path / "stopped", device=CPU)
    assert same(tmp_path / "plain", tmp_path / "stopped")


def test_a_measured_order_is_chosen_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(student_form, "WORTH", 1)
    asked: list[float] = []
    monkeypatch.setattr(student_form, "order_ratio", lambda *_: asked.append(0.8) or 0.8)
    _, manifest = trained(tmp_path / "auto", "memory_format=auto", stop_at=1, twin=True)
    assert manifest["student_form"] == {f"{RUN}.train": {
        "memory_format": "contiguous", "ratio": 0.8, "compile": "off", "student": False, "losses": [],
    }}
    distill(resumable(tmp_path / "auto"), resume=tmp_path / "auto", device=CPU)
    assert asked == [0.8]  # neither the run that goes on nor its twin measures again
    found = json.loads((tmp_path / "auto" / "manifest.json").read_text())["student_form"]
    assert {form["memory_format"] for form in found.values()} == {"contiguous"} and len(found) == 2
    trained(tmp_path / "said", "memory_format=contiguous")
    assert same(tmp_path / "said", tmp_path / "auto")


def orders(student: nn.Module) -> set[bool]:
    return {
        weight.is_contiguous() for name, weight in student.named_parameters()
        if weight.ndim == 4 and min(weight.shape[1:]) > 1
    }


@pytest.mark.slow
def test_inside_the_block_alone_a_student_has_its_form(quick: None) -> None:
    shop = Workshop(config=config("memory_format=contiguous", "compile=default"), device=CPU)
    stage, (student, _) = shop.config.main, shop.student()
    task, first = shop.task(stage, student, None), shop.first(stage)
    task.build(first)
    names, before = list(task.state_dict()), {name: value.clone() for name, value in student.state_dict().items()}
    assert orders(student) == {False}
    with student_form.student_form(shop, stage, task, first, 4, {}) as form:
        assert form.engine is not None and form.engine.serves(first.image)
        assert not form.engine.serves(first.image[..., :-8, :])  # images of other sizes see the network itself
        assert orders(student) == {True} and list(task.state_dict()) == names
        assert all(parameter.grad is None for parameter in student.parameters())
        assert "value" in vars(task.losses[0].loss)
        loss = task(first, 0, 4).loss
    after = student.state_dict()
    statistics = [name for name in before if "running" in name or "tracked" in name]
    assert statistics and all(torch.equal(before[name], after[name]) for name in before if name not in statistics)
    assert all(int(after[name]) == 1 for name in statistics if "tracked" in name)  # of the step, not of the trial
    assert orders(student) == {False} and "value" not in vars(task.losses[0].loss)
    with torch.no_grad():
        assert task.student(first.image).depth.shape[-1] > 0
    assert bool(torch.isfinite(loss))


def test_what_cannot_be_had_is_refused_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = config("compile=reduce-overhead").main
    with pytest.raises(ConfigError, match="stage 'train' captures CUDA graphs, and the run is on cpu"):
        require_form(stage, CPU)
    with pytest.raises(ConfigError, match="accumulate=2; use compile=default"):
        require_form(replace(stage, accumulate=2), torch.device("cuda"))
    require_form(config().main, torch.device("cuda"))
    from torch._inductor import config as inductor

    monkeypatch.setattr(inductor.cpp, "cxx", ("/nowhere/g++",))
    monkeypatch.setattr(inductor, "force_disable_caches", True)
    torch.compiler.reset()
    with pytest.raises(ConfigError, match=r"PyTorch's compiler does not work here .*use compile=off") as refused:
        require_compiler("compile=default of stage 'train'", CPU)
    assert "\n" not in str(refused.value)


def test_a_compiler_that_makes_another_network_is_refused(quick: None) -> None:
    shop = Workshop(config=config(), device=CPU)
    student, image = shop.student()[0].train(), torch.rand(2, 3, 32, 48)

    class Twice(nn.Module):
        def forward(self, image: Tensor) -> Any:
            said = student(image)
            return replace(said, depth=2 * said.depth)

    with pytest.raises(ConfigError, match=r"here: the compiled student's depth is 1 away, 0\.01 is allowed"):
        held_against("here", student, Twice(), image, None)

    class Broken(nn.Module):
        def forward(self, image: Tensor) -> Mapping[str, Tensor]:
            raise RuntimeError("no operator\nand a long tale")

    with pytest.raises(ConfigError, match=r"cannot be compiled \(no operator\); use compile=off"):
        held_against("here", student, Broken(), image, None)


def test_orders_are_timed_on_copies() -> None:
    network = Workshop(config=config(), device=CPU).student()[0].train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert 0.1 < order_ratio(network, torch.rand(2, 3, 32, 48), rounds=3) < 10
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.slow
def test_pytorchs_own_compiler_trains_the_same_student(tmp_path: Path) -> None:
    trained(tmp_path / "plain", "steps=2")
    _, manifest = trained(tmp_path / "compiled", "steps=2", "compile=default")
    assert manifest["student_form"][f"{RUN}.train"]["difference"] < 1e-3
    plain, compiled = (load_state(tmp_path / name / "student.safetensors") for name in ("plain", "compiled"))
    assert plain.keys() == compiled.keys()
    assert all(torch.allclose(plain[name], compiled[name], atol=5e-3) for name in plain)
