"""Where a student begins: at the depth that it is taught."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from kdcli.config import RunConfig, load
from kdcli.training.run.dry_run import measure
from kdcli.training.run.job import distill
from kdcli.training.run.progress import Silent
from kdcli.training.run.workshop import Workshop
from kdcli.training.step.task import DistillTask
from kdcli.types import Batch, DepthKind
from kdcli.weights import load_state

Resolve = Callable[..., RunConfig]

STILL = ("lr=1e-12", "weight_decay=0", "ema=0")
"""A training that moves nothing, so that its result is where it began."""

TWO_STAGES = """
[run]
student = "mobilenet,width=0.35"
export = "none"
[defaults]
teachers = ["ground-truth"]
size = "32x48"
batch_size = 4
losses = { log-l1 = 1.0 }
lr = 1e-12
weight_decay = 0.0
steps = 1
[[stage]]
name = "near"
data = "sim:blocks,count=8"
[[stage]]
name = "goes-on"
data = "sim:rooms,count=8"
[[stage]]
name = "assistant"
student = "mobilenet,width=0.35,head=bins"
data = "sim:rooms,count=8"
[[stage]]
name = "assistant-on"
student = "stage:assistant"
data = "sim:blocks,count=8"
[[stage]]
name = "last"
data = "sim:rooms,count=8"
[twin]
label = "the same without mixing"
mixers = []
"""


def task_of(config: RunConfig) -> tuple[DistillTask, Batch, nn.Module]:
    shop = Workshop(config=config, device=torch.device("cpu"))
    student, _ = shop.student()
    return shop.task(config.main, student, None), shop.first(config.main), student


def taught(batch: Batch) -> float:
    assert batch.depth is not None and batch.valid is not None
    return float(batch.depth[batch.valid].median())


class Notes(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)

    def begun(self) -> list[str]:
        return [text.split(", the median")[0] for text in self.said if " begins at " in text]


@pytest.mark.parametrize("student", ["mobilenet,width=0.35", "mobilenet,width=0.35,head=bins", "timm:resnet10t"])
def test_the_first_gradient_does_not_ask_for_more_depth_everywhere(tiny: Resolve, student: str) -> None:
    pushes = []
    for begins in (False, True):
        task, batch, model = task_of(tiny("losses={ log-l1 = 1.0 }", student=student, batch_size=16))
        task.build(batch)
        if begins:
            level = task.level(batch)
            assert level == pytest.approx(taught(batch), rel=0.05)
            model.begin_at(level)  # type: ignore[operator]
        features: list[torch.Tensor] = []
        model.head.register_forward_pre_hook(  # type: ignore[union-attr]
            lambda module, inputs, kept=features: kept.append(inputs[0])
        )
        task.begin_training()
        result = task(batch, 0, 1)
        (gradient,) = torch.autograd.grad(result.loss, features[0])
        # What all pixels ask of a channel together, as a share of what each asks of it.
        pushes.append(float(gradient.sum((0, 2, 3)).norm() / gradient.abs().sum((0, 2, 3)).norm()))
    assert pushes[1] < 0.25 * pushes[0], f"{pushes}"


@pytest.mark.parametrize("student", ["mobilenet,width=0.35", "mobilenet,width=0.35,head=bins,bins=32"])
def test_a_run_begins_at_what_is_taught(tiny: Resolve, tmp_path: Path, student: str) -> None:
    config = tiny(*STILL, "steps=1", student=student, batch_size=8)
    notes = Notes()
    distill(config, out=tmp_path / "run", progress=notes)
    _, batch, model = task_of(config)
    model.load_state_dict(load_state(tmp_path / "run" / "student.safetensors"))
    model.train()
    with torch.no_grad():
        begins = float(model(batch.image).depth.median())
    assert begins == pytest.approx(taught(batch), rel=0.15)
    (said,) = notes.begun()
    assert float(said.removeprefix("student: train: begins at ")) == pytest.approx(taught(batch), rel=0.05)


def test_a_network_begins_once_and_its_twin_where_it_does(tiny: Resolve, tmp_path: Path) -> None:
    config = tiny(text=TWO_STAGES)
    notes = Notes()
    distill(config, out=tmp_path / "run", progress=notes)
    begun = [text.split(": begins")[0] for text in notes.begun() if text.startswith("student")]
    assert begun == ["student: near", "student: assistant"]
    assert notes.begun()[0].removeprefix("student") == notes.begun()[-1].removeprefix("twin")
    bias = "head.conv.bias"
    own = load_state(tmp_path / "run" / "student.safetensors")[bias]
    assert torch.equal(own, load_state(tmp_path / "run" / "twin" / "student.safetensors")[bias])


def test_a_stage_that_leaves_the_scale_open_leaves_the_beginning_to_the_next(tiny: Resolve, tmp_path: Path) -> None:
    text = TWO_STAGES.replace('name = "near"', 'name = "near"\nlosses = { affine-invariant = 1.0 }')
    notes = Notes()
    distill(tiny(text=text), out=tmp_path / "run", progress=notes)
    begun = [said.split(": begins")[0] for said in notes.begun()]
    assert begun[:2] == ["student: goes-on", "student: assistant"] and begun[-1] == "twin: goes-on"


def test_the_level_leaves_the_student_as_it_was(tiny: Resolve) -> None:
    task, batch, student = task_of(tiny())
    student.train()
    before = {name: value.clone() for name, value in student.state_dict().items()}
    random = torch.get_rng_state()
    assert task.level(batch) is not None
    assert all(torch.equal(value, before[name]) for name, value in student.state_dict().items())
    assert torch.equal(random, torch.get_rng_state())


def test_depth_without_a_level_begins_in_the_middle(tiny: Resolve, teacher_file: Path) -> None:
    task, batch, _ = task_of(tiny(teachers=(f"run:{teacher_file}",)))
    (view,) = task.context(batch, 0, 1).teachers.values()
    assert task.level(batch) is not None
    view.model.depth_kind = DepthKind.AFFINE_DEPTH  # type: ignore[assignment]
    assert task.level(batch) is None


def test_losses_that_see_no_scale_leave_a_student_in_the_middle(tiny: Resolve) -> None:
    for losses, seen in (("gradient = 1.0, silog = 1.0", True), ("gradient = 1.0, affine-invariant = 1.0", False)):
        task, batch, _ = task_of(tiny(f"losses={{ {losses} }}"))
        assert (task.level(batch) is not None) is seen
    task, batch, _ = task_of(tiny("losses={ affine-invariant = 1.0 }", "task_loss=l1"))
    assert task.level(batch) is not None


def test_images_of_which_nothing_is_known_have_no_level(tiny: Resolve) -> None:
    task, batch, _ = task_of(tiny())
    assert batch.valid is not None
    batch.valid.zero_()
    assert task.level(batch) is None


def test_a_dry_run_shows_the_terms_with_which_the_run_begins(tmp_path: Path) -> None:
    config = load("x", TWO_STAGES.replace("[defaults]", "[defaults]\nlog_every = 1"), twin=False)
    told = measure(config, torch.device("cpu"))["stages"]
    distill(config, out=tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    for name in ("near", "assistant"):
        (began,) = [line["term/log-l1"] for line in lines if line.get("stage") == name and line.get("step") == 1]
        (shown,) = [stage["terms"]["log-l1"] for stage in told if stage["stage"] == name]
        assert shown == pytest.approx(began, abs=2e-5)
