from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

import kdcli
from kdcli.config import RunConfig, StageConfig, load
from kdcli.errors import ConfigError
from kdcli.recipes import read
from kdcli.training.loop.train import StepLog
from kdcli.training.run.progress import Silent
from kdcli.training.run.workshop import Workshop
from kdcli.transform import JointTransform
from kdcli.transform import load as load_transform
from kdcli.weights import load_state


@pytest.mark.slow
def test_a_transformation_learned_with_the_student(tmp_path: Path) -> None:
    flags = {
        "student": "mobilenet,width=0.35", "transform": "joint", "data": "sim:blocks,count=8", "steps": 6,
        "batch_size": 4, "size": (64, 96), "eval_data": "sim:rooms,count=2", "seed": 3,
    }
    result = kdcli.distill(load(*read("data-free"), flags), out=tmp_path / "run")
    network, facts = load_transform(result.run / "transform.safetensors")
    assert facts["joint"] and any(bool(p.abs().sum() > 0) for p in network.parameters())
    rows = [json.loads(line) for line in (result.run / "metrics.jsonl").read_text().splitlines()]
    first = next(row for row in rows if row["variant"] == "student")
    assert first["term/transform.statistics"] == pytest.approx(1.0), "the first batch is the measure"
    assert all("term/transform.statistics" not in row for row in rows if row["variant"] == "twin")


@pytest.mark.parametrize("through", [False, True])
def test_the_students_losses_reach_the_transformation_only_when_asked(through: bool) -> None:
    stage = StageConfig(
        name="s", steps=1, batch_size=2, size=(64, 96), data="sim:blocks,count=4", transform="joint",
        transform_gradient=through, content=0.0, losses=(("l1", 1.0),),
    )
    config = RunConfig(recipe="x", student="mobilenet,width=0.35", stages=(stage,))
    shop = Workshop(config=config, device=torch.device("cpu"))
    student, _ = shop.student()
    task = shop.task(stage, student, None)
    joint = next(mixer for mixer in task.mixers if isinstance(mixer, JointTransform))
    batch = next(shop.feed(stage).batches(0, 1))
    teacher = next(iter(shop.teachers(stage).values()))
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    context = task.context(batch, 0, 1)
    loss = sum(part for used in task.losses for part in used.loss.terms(context).values())
    assert isinstance(loss, torch.Tensor)
    loss.backward()  # type: ignore[no-untyped-call]
    reached = [p for p in joint.network.parameters() if p.grad is not None and bool(p.grad.abs().sum() > 0)]
    assert bool(reached) is through
    task(batch, 0, 1).loss.backward()
    assert any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in joint.network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())


def joint(**keys: Any) -> RunConfig:
    flags = {
        "student": "mobilenet,width=0.35", "transform": "joint", "data": "sim:blocks,count=8", "steps": 4,
        "batch_size": 4, "size": (32, 48), "eval_data": "none", "export": "none",
    }
    settings = ["checkpoint_every=2", "log_every=1", *(f"{key}={value}" for key, value in keys.items())]
    return load(*read("data-free"), flags, settings, twin=False)


def learned(path: Path) -> dict[str, torch.Tensor]:
    return load_transform(path / "transform.safetensors")[0].state_dict()


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(value, two[name]) for name, value in one.items())


class StopAt(Silent):
    def step(self, log: StepLog) -> None:
        if log.step == 3:
            os.kill(os.getpid(), signal.SIGINT)


def test_a_learning_rate_of_its_own_survives_an_interruption(tmp_path: Path) -> None:
    config = joint(transform_lr=1e-4, statistics_layers="every:3", network_layers=1)
    kdcli.distill(config, out=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        kdcli.distill(config, out=tmp_path / "cut", progress=StopAt())
    kdcli.distill(config, resume=tmp_path / "cut")
    assert same(learned(tmp_path / "whole"), learned(tmp_path / "cut"))
    students = [load_state(tmp_path / run / "student.safetensors") for run in ("whole", "cut")]
    assert same(*students)
    assert load_transform(tmp_path / "whole" / "transform.safetensors")[0].depth == 1
    kdcli.distill(joint(statistics_layers="every:3", network_layers=1), out=tmp_path / "plain")
    moved = [
        sum(float(value.abs().sum()) for name, value in learned(tmp_path / run).items() if "curve" in name)
        for run in ("whole", "plain")
    ]
    assert 0 < moved[0] < 0.1 * moved[1], "the recipe's learning rate is a hundred times as high"


def test_layers_that_are_not_there_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no layer 'enc1'"):
        kdcli.distill(joint(statistics_layers="enc1"), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
