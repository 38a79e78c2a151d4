from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import kdcli
from kdcli.config import RunConfig, StageConfig, load
from kdcli.recipes import read
from kdcli.training.parts import Workshop
from kdcli.transform import JointTransform
from kdcli.transform import load as load_transform


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
    loss = sum(part for _, loss in task.losses.values() for part in loss.terms(context).values())
    assert isinstance(loss, torch.Tensor)
    loss.backward()  # type: ignore[no-untyped-call]
    reached = [p for p in joint.network.parameters() if p.grad is not None and bool(p.grad.abs().sum() > 0)]
    assert bool(reached) is through
    task(batch, 0, 1).loss.backward()
    assert any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in joint.network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
