"""Teachers in other forms: chosen once, held against the network, written down, left alone where they cannot serve."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kdcli.config import RunConfig
from kdcli.errors import ConfigError
from kdcli.exporters import ExportedModel
from kdcli.testing import ToyDepth
from kdcli.testing.toys import toy_batch
from kdcli.training.loop.train import StepLog
from kdcli.training.run import teacher_engine
from kdcli.training.run.folder import RunFolder
from kdcli.training.run.job import distill, resumable
from kdcli.training.run.progress import Silent
from kdcli.training.run.teacher_engine import require_engine
from kdcli.training.run.teacher_forms import Form, difference, ratios
from kdcli.training.run.workshop import Workshop
from kdcli.training.step.engine import Engine
from kdcli.training.step.task import DistillTask
from kdcli.training.step.view import ModelView
from kdcli.types import Prediction
from kdcli.weights import load_state

TEXT = """
[run]
student = "mobilenet,width=0.35"
export = "none"
[[stage]]
name = "train"
data = "sim:blocks,count=24"
size = "32x48"
batch_size = 4
losses = { l1 = 1.0 }
steps = 4
checkpoint_every = 2
[twin]
losses = { berhu = 1.0 }
"""
CONTIGUOUS = Form(folded=True, layout="contiguous")


class Told(Silent):
    """Keeps what a run tells, and asks it to stop once a step is logged."""

    def __init__(self, stop_at: int = 0) -> None:
        self.notes: list[str] = []
        self.stop_at = stop_at

    def note(self, message: str) -> None:
        self.notes.append(message)

    def step(self, log: StepLog) -> None:
        if log.step == self.stop_at:
            os.kill(os.getpid(), signal.SIGINT)


def frozen() -> nn.Module:
    return ToyDepth().eval().requires_grad_(False)


@pytest.mark.parametrize(
    "form", [Form(layout="contiguous"), Form(folded=True), CONTIGUOUS, Form(engine="onnx")], ids=str
)
def test_each_form_gives_the_teachers_depth(form: Form) -> None:
    teacher, image = frozen(), torch.rand(2, 3, 32, 48)
    made = form.made(teacher, image)
    assert made is not teacher
    assert difference(teacher, made, image) < 1e-5
    assert isinstance(made, ExportedModel) == (form.engine == "onnx")
    assert Form.of(form.document()) == form
    norms = [module for module in made.modules() if isinstance(module, nn.BatchNorm2d)]
    assert bool(norms) == (form == Form(layout="contiguous"))


def test_forms_take_turns_and_the_first_is_the_measure() -> None:
    order: list[str] = []

    class Slow(nn.Module):
        def __init__(self, name: str, work: int) -> None:
            super().__init__()
            self.name, self.work = name, work

        def forward(self, image: Tensor) -> Tensor:
            order.append(self.name)
            return sum((image * i for i in range(self.work)), image)

    took = ratios({Form(): Slow("a", 40), CONTIGUOUS: Slow("b", 400)}, torch.rand(2, 3, 64, 64), 3)
    assert order == ["a", "b"] * 4
    assert took[Form()] == 1 and took[CONTIGUOUS] > 2


class Other(nn.Module):
    """Another network in a teacher's place, so that it shows which one ran."""

    def forward(self, image: Tensor) -> str:
        raise AssertionError("the engine ran")


def test_the_network_itself_runs_where_its_engine_cannot_serve() -> None:
    teacher, batch = frozen(), toy_batch()
    size = (int(batch.image.shape[-2]), int(batch.image.shape[-1]))
    view = ModelView(teacher, batch, gradient=False, engine=Engine(model=teacher, network=Other(), size=size))
    with pytest.raises(Exception, match="the engine ran"):
        _ = view.out
    with pytest.raises(Exception, match="the engine ran"):
        _ = view.subset(torch.tensor([0])).out
    assert view.feat("enc1").shape[1] == 8
    assert len(view.call(batch.image[..., :-2, :-2]).depth) == len(batch)
    moved = batch.image.clone().requires_grad_()
    view.call(moved).depth.sum().backward()
    assert moved.grad is not None
    with pytest.raises(Exception, match="the engine ran"):
        view.call(moved, gradient=False)


@pytest.fixture
def auto(
    tiny: Callable[..., RunConfig], teacher_file: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., RunConfig]:
    """A tiny run with a twin, whose measurement says that folded and contiguous is quickest."""
    monkeypatch.setattr(teacher_engine, "WORTH", 4)
    monkeypatch.setattr(teacher_engine, "TRIED", (Form(layout="contiguous"), CONTIGUOUS))

    def measured(forms: Mapping[Form, nn.Module], image: Tensor, rounds: int) -> dict[Form, float]:
        return {form: 0.5 if form == CONTIGUOUS else 1.0 for form in forms}

    monkeypatch.setattr(teacher_engine, "ratios", measured)

    def resolve(*settings: str, **flags: Any) -> RunConfig:
        return tiny("teacher_engine=auto", *settings, text=TEXT, teachers=(f"t=run:{teacher_file}",), **flags)

    return resolve


def engines_of(run: Path) -> dict[str, Any]:
    return dict(RunFolder.open(run).manifest()["teacher_engine"])


def test_a_choice_is_made_once_and_kept_by_twin_and_resumed_run(
    auto: Callable[..., RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told()
    distill(auto(), out=tmp_path / "whole", progress=told)
    found = engines_of(tmp_path / "whole")
    assert list(found) == ["student.train", "twin.train"]
    for row in found.values():
        assert Form.of(row["t"]) == CONTIGUOUS and row["t"]["difference"] < 1e-5
        assert row["t"]["ratios"] == {"eager, channels-last": 1.0, "eager, contiguous": 1.0, str(CONTIGUOUS): 0.5}
    said = "teacher 't' runs as eager, contiguous, norms folded, in 0.50 of its time"
    assert any(said in note for note in told.notes)
    assert RunFolder.open(tmp_path / "whole").manifest()["teacher_images"] == {"student.train": 16, "twin.train": 16}
    with pytest.raises(KeyboardInterrupt):
        distill(replace(auto(), twin=None), out=tmp_path / "split", progress=Told(stop_at=1))
    monkeypatch.setattr(teacher_engine, "ratios", None)  # nothing is measured again
    distill(resumable(tmp_path / "split"), resume=tmp_path / "split")
    assert engines_of(tmp_path / "split") == {"student.train": found["student.train"]}
    one, two = (load_state(tmp_path / name / "student.safetensors") for name in ("whole", "split"))
    assert all(torch.equal(value, two[name]) for name, value in one.items())


@pytest.mark.parametrize(
    ("setting", "why"),
    [("teacher_cache={}/maps", "its depth is kept"), ("steps=3", "measuring pays from 4 batches on"),
     ("amp=bf16", "computes in bfloat16"), ("lr=1e-4", "loss 'l1' looks into it")],
)
def test_a_teacher_stays_as_it_is_and_a_line_says_why(
    auto: Callable[..., RunConfig], setting: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "looks" in why:
        monkeypatch.setattr(DistillTask, "asking", lambda task: ["l1"])
    found = chosen_for(auto(setting.format(tmp_path)))
    assert not found.engines and why in found.told["t"]["why"]
    assert any("teacher 't' runs eager: " in note and why in note for note in found.notes)


def chosen_for(config: RunConfig) -> teacher_engine.TeacherEngines:
    shop, stage = Workshop(config=config, device=torch.device("cpu")), config.main
    task = shop.task(stage, shop.student()[0], None)
    assert stage.steps is not None
    return teacher_engine.teacher_engines(shop, stage, task, shop.first(stage), stage.steps, {})


def test_what_is_asked_for_is_refused_where_it_gives_other_depth(
    auto: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = auto("teacher_engine=onnx")

    class Off(nn.Module):
        def __init__(self, teacher: nn.Module) -> None:
            super().__init__()
            self.teacher = teacher

        def forward(self, image: Tensor) -> Prediction:
            said = self.teacher(image)
            return replace(said, depth=said.depth * 1.001)

    monkeypatch.setattr(Form, "made", lambda form, teacher, image: Off(teacher))
    with pytest.raises(ConfigError, match=r"'t': as onnx its depth is 0\.001 away, 0\.0001 is allowed; use eager"):
        chosen_for(config)
    assert not chosen_for(auto()).engines  # and left out of a choice


def test_onnx_is_refused_beside_a_gpu_and_an_unknown_engine_by_name(auto: Callable[..., RunConfig]) -> None:
    with pytest.raises(ConfigError, match="teacher_engine=onnx of stage 'train' runs on the CPU"):
        require_engine(auto("teacher_engine=onnx").main, torch.device("cuda"))
    with pytest.raises(ConfigError, match="teacher_engine"):
        auto("teacher_engine=fast")
