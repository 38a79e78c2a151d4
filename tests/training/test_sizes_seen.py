"""``size`` is what images are brought to and evaluated at, ``crop`` what networks are trained on."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from kdcli.config import RunConfig
from kdcli.models import load_model
from kdcli.students.files import load_student, read_card, save_student
from kdcli.students.mobilenet import MobileNet
from kdcli.training.loop.train import StepLog
from kdcli.training.run.dry_run import measure
from kdcli.training.run.fit_stage import FitFiles, fit_stage
from kdcli.training.run.job import distill, resumable
from kdcli.training.run.made_for import made_for
from kdcli.training.run.progress import Silent
from kdcli.training.run.workshop import Workshop
from kdcli.training.single.look import augmented
from kdcli.training.step.task import DistillTask
from kdcli.types import MadeFor, Prediction
from kdcli.weights import load_state

Resolve = Callable[..., RunConfig]
ALL = (
    "size=48x64", "crop=32x40", "rotate=5", "rotate_probability=0.8", "gamma=[0.9, 1.1]", "brightness=[0.75, 1.25]",
    "colour=[0.9, 1.1]", "betas=[0.95, 0.99]", "decay_norms=true", "end_factor=4e-4", "warmup=0.3", "clip=35",
)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> set[tuple[bool, tuple[int, int]]]:
    """Whether gradients are taken, and height and width, of all images that a student was shown."""
    shown: set[tuple[bool, tuple[int, int]]] = set()
    forward = MobileNet.forward

    def watched(self: MobileNet, image: Tensor) -> Prediction:
        shown.add((torch.is_grad_enabled() and self.training, (int(image.shape[-2]), int(image.shape[-1]))))
        return forward(self, image)

    monkeypatch.setattr(MobileNet, "forward", watched)
    return shown


def test_training_sees_windows_and_evaluation_whole_images(
    tiny: Resolve, tmp_path: Path, seen: set[tuple[bool, tuple[int, int]]]
) -> None:
    distill(tiny(*ALL), out=tmp_path / "run")
    # Windows without gradient: once before the first step, to begin at the depth that is taught.
    assert seen == {(True, (32, 40)), (False, (32, 40)), (False, (48, 64))}
    results = json.loads((tmp_path / "run" / "eval" / "results.json").read_text())
    assert results["student"]["size"] == [48, 64]
    assert read_card(tmp_path / "run" / "student.safetensors")["size"] == [48, 64]
    made = load_model(tmp_path / "run").made_for
    assert made == MadeFor(
        train_size=(32, 40), eval_size=(48, 64), near=0.1, far=10.0, test=results["student"]["spec"]
    )


@pytest.mark.parametrize(("given", "size"), [("40x56", (40, 56)), ("native", (96, 128)), ("training", (48, 64))])
def test_evaluation_has_a_size_of_its_own(
    tiny: Resolve, tmp_path: Path, seen: set[tuple[bool, tuple[int, int]]], given: str, size: tuple[int, int]
) -> None:
    distill(tiny("size=48x64", f"eval_size={given}", steps=1), out=tmp_path / "run")
    assert {shape for learning, shape in seen if not learning} == {size, (48, 64)}  # the latter before the first step


def test_a_dry_run_costs_what_a_window_costs(tiny: Resolve, seen: set[tuple[bool, tuple[int, int]]]) -> None:
    measure(tiny(*ALL), torch.device("cpu"))
    assert {shape for _, shape in seen} == {(32, 40)}


def test_a_transformation_is_fitted_to_windows_too(
    tiny: Resolve, tmp_path: Path, teacher_file: Path, seen: set[tuple[bool, tuple[int, int]]]
) -> None:
    config = tiny("train.crop=32x40", "size=48x64", teachers=(f"run:{teacher_file}",))
    shop = Workshop(config=config, device=torch.device("cpu"))
    files = FitFiles.beside(tmp_path / "transform.safetensors")
    found, _ = fit_stage(shop, config.main, files, lambda what, done, total: None)
    assert found.steps == config.main.steps
    assert {shape for _, shape in seen} == {(32, 40)}


class StopAtThree(Silent):
    def step(self, log: StepLog) -> None:
        if log.step == 3:
            os.kill(os.getpid(), signal.SIGINT)


def test_an_augmented_run_that_was_interrupted_goes_on_to_the_same_last_bit(tiny: Resolve, tmp_path: Path) -> None:
    config = tiny(*ALL)
    distill(config, out=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        distill(config, out=tmp_path / "split", progress=StopAtThree())
    distill(resumable(tmp_path / "split"), resume=tmp_path / "split")
    first, second = (load_state(tmp_path / name / "student.safetensors") for name in ("whole", "split"))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_what_is_looked_at_is_what_is_trained_on(
    tiny: Resolve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    batches = []
    plain = DistillTask.forward

    def forward(self: DistillTask, batch: object, *counts: int, **more: bool) -> object:
        batches.append(batch)
        return plain(self, batch, *counts, **more)  # type: ignore[arg-type]

    config = tiny(*ALL, "eval_data=none", steps=2)
    looked = augmented(config, 6)
    monkeypatch.setattr(DistillTask, "forward", forward)
    distill(config, out=tmp_path / "run")
    images = torch.cat([batch.image for batch in batches])  # type: ignore[attr-defined]
    assert len(looked) == 6 and torch.equal(torch.stack([sample.image for sample in looked]), images[:6])
    assert all(sample.depth is not None and sample.depth.shape == (1, 32, 40) for sample in looked)


@pytest.mark.parametrize(("data", "domain"), [("sim:rooms,count=4", "indoor"), ("sim:blocks,count=4", "any")])
def test_scenes_are_the_teachers_or_else_those_of_the_images(
    tiny: Resolve, tmp_path: Path, teacher_file: Path, data: str, domain: str
) -> None:
    student, card = load_student(teacher_file)
    known = MadeFor(train_size=(64, 96), domain="driving", near=0.5, far=5.0, test="sim:rooms,count=2")
    save_student(tmp_path / "knows.safetensors", student, card["student"], {}, made_for=known)
    for teacher, scenes, ends in ((teacher_file, domain, (0.1, 10.0)), (tmp_path / "knows.safetensors", "driving",
                                                                      (0.5, 5.0))):
        config = tiny("eval_size=native", teachers=(f"run:{teacher}",), data=data, eval_data="none")
        shop = Workshop(config=config, device=torch.device("cpu"))
        made = made_for(shop, config.main, shop.student()[0])
        assert (made.train_size, made.eval_size, made.domain, (made.near, made.far)) == ((32, 48), None, scenes, ends)
        assert made.test == (known.test if scenes == "driving" else None)
