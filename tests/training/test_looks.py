"""The student's losses on plain, mixed and transformed images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

import kdcli
from kdcli.config import RunConfig, StageConfig, TwinConfig, load
from kdcli.config.dump import dump
from kdcli.errors import ConfigError
from kdcli.training.run.dry_run import measure
from kdcli.training.run.preflight import check
from kdcli.training.run.workshop import Workshop
from kdcli.training.step.task import DistillTask, StepResult
from kdcli.types import Batch

RECIPE = """
[run]
student = "mobilenet,width=0.35"
eval_data = "sim:rooms,count=4,seed=7"
export = "none"
[defaults]
teachers = ["TEACHER"]
data = "sim:blocks,count=16"
size = "32x48"
batch_size = 4
mixers = ["object"]
[[stage]]
name = "fit"
train = "transform"
steps = 2
[[stage]]
name = "distill"
transform = "fitted"
losses = { log-l1 = 1.0, l1 = 0.5 }
steps = 4
checkpoint_every = 2
log_every = 1
looks = { transformed = 1.0, plain = 0.5, mixed = 0.25 }
[twin]
mixers = []
transform = "none"
"""


def wired(*settings: str, looks: str) -> tuple[DistillTask, Batch]:
    text = RECIPE.replace("TEACHER", "demo").replace('"fitted"', '"joint"')
    lines = [line for line in text.splitlines() if not line.startswith("looks")]
    config = load("x", "\n".join(lines), {}, (f"distill.looks={looks}", *settings))
    shop = Workshop(config=config, device=torch.device("cpu"))
    student, _ = shop.student()
    task = shop.task(config.main, student, None)
    batch = next(shop.feed(config.main).batches(0, 1))
    task.build(batch)
    # The identity at the start would leave mixed images as they are.
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(4)
        for parameter in task.mixers[-1].network.parameters():  # type: ignore[attr-defined]
            parameter.add_(0.1 * torch.randn_like(parameter))
    return task, batch


def gradient(task: DistillTask, batch: Batch) -> tuple[StepResult, Tensor]:
    """In evaluation mode, where a look leaves no trace in the statistics that the next one is normalised by."""
    task.student.eval()
    task.zero_grad()
    result = task(batch, 1, 10)
    result.loss.backward()
    return result, torch.cat([p.grad.flatten() for p in task.student.parameters() if p.grad is not None])


def test_the_terms_are_those_of_each_view_times_its_weight() -> None:
    names = ("plain", "mixed", "transformed")
    apart = {}
    for name in names:
        task, batch = wired(looks=f"{{ {name} = 1.0 }}")
        apart[name] = gradient(task, batch)
    task, batch = wired(looks="{ transformed = 1.0, plain = 0.5, mixed = 0.25 }")
    result, together = gradient(task, batch)
    assert [key for key in result.terms if not key.startswith("transform.")] == [
        f"{view}.{loss}" for view in names for loss in ("log-l1", "l1")
    ]
    for name in names:
        for loss in ("log-l1", "l1"):
            assert float(result.terms[f"{name}.{loss}"]) == pytest.approx(float(apart[name][0].terms[f"{name}.{loss}"]))
    assert len({round(float(result.terms[f"{name}.l1"]), 6) for name in names}) == 3
    want = apart["transformed"][1] + 0.5 * apart["plain"][1] + 0.25 * apart["mixed"][1]
    assert torch.allclose(together, want, rtol=1e-3, atol=1e-5 * float(want.abs().max()))
    whole = sum(float(v) for k, v in result.terms.items() if k.startswith("transform."))
    for name, weight in (("transformed", 1.0), ("plain", 0.5), ("mixed", 0.25)):
        whole += weight * (float(result.terms[f"{name}.log-l1"]) + 0.5 * float(result.terms[f"{name}.l1"]))
    assert float(result.loss.detach()) == pytest.approx(whole, rel=1e-5)


def test_without_looks_the_final_images_are_seen() -> None:
    task, batch = wired(looks="{}")
    result, plain = gradient(task, batch)
    assert {"log-l1", "l1"} <= set(result.terms) and not any("." in k for k in result.terms if k[:9] != "transform")
    task, batch = wired(looks="{ transformed = 1.0 }")
    same, named = gradient(task, batch)
    assert torch.equal(plain, named) and torch.equal(result.loss, same.loss)


def test_each_view_has_labels_and_states_of_its_own() -> None:
    task, batch = wired("distill.task_loss=l1", looks="{ plain = 1.0, mixed = 1.0 }")
    result = task(batch, 0, 10)
    assert "plain.task" in result.terms and "mixed.task" not in result.terms, "mixed images have lost their depth"
    assert {"plain.log-l1", "mixed.log-l1"} <= set(task.states)


def test_an_unsound_view_is_found() -> None:
    task, batch = wired(looks="{ plain = 1.0, mixed = 0.0 }")
    broken = batch.image.clone()
    broken[2, 0, 0, 0] = float("nan")
    from dataclasses import replace

    task.student.eval()
    sound = task(replace(batch, image=broken), 0, 10).sound
    assert not bool(sound[2]) and bool(sound[0])


def test_a_dry_run_knows_the_looks(teacher_file: Path) -> None:
    rows = measure(load("x", RECIPE.replace("TEACHER", f"run:{teacher_file}")), torch.device("cpu"))
    assert {"plain.log-l1", "mixed.log-l1", "transformed.l1"} <= set(rows["terms"])


def test_a_run_repeats(tmp_path: Path, teacher_file: Path) -> None:
    config = load("x", RECIPE.replace("TEACHER", f"run:{teacher_file}"))
    one = kdcli.distill(config, out=tmp_path / "one")
    two = kdcli.distill(load("x", dump(config), twin=False), out=tmp_path / "two")
    assert (one.run / "student.safetensors").read_bytes() == (two.run / "student.safetensors").read_bytes()
    logged = (one.run / "metrics.jsonl").read_text()
    assert '"term/transformed.log-l1"' in logged and '"term/mixed.l1"' in logged
    twin = [line for line in logged.splitlines() if '"twin"' in line]
    assert twin and all('"term/log-l1"' in line and "plain." not in line for line in twin)


STAGE = StageConfig(name="s", steps=1)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("looks={ mixed = 1.0 }", "take 'mixed' images, but it has no mixer; there are: plain"),
        ("looks.transformed=1", "take 'transformed' images, but it has no transformation network"),
        ("looks={ plane = 1.0 }", "there is no 'plane'. Did you mean 'plain'"),
        ("train.looks.plain=-1", "looks.plain=-1.0 of stage 'train' must be a number"),
        ("train.looks.plain=much", "must be a table of look = weight"),
        ("looks=plain", "must be a table of look = weight"),
        ("looks={ plain = 0 }", "have no weight above 0"),
        ("trian.looks.plain=1", "there is no stage 'trian'. Did you mean 'train'"),
    ],
)
def test_looks_that_are_not_there_are_refused(tiny: Callable[..., RunConfig], setting: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        tiny(setting)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_looks_of_a_stage_made_by_hand_are_checked_before_the_first_step(tiny: Callable[..., RunConfig]) -> None:
    from dataclasses import replace

    config = tiny()
    shop = Workshop(config=config, device=torch.device("cpu"))
    student, _ = shop.student()
    with pytest.raises(ConfigError, match="no mixer"):
        check(shop, replace(config.main, looks=(("mixed", 1.0),)), student)


def test_settings_name_single_looks(tiny: Callable[..., RunConfig]) -> None:
    config = tiny("train.looks.plain=0.5", "looks.mixed=2", mixers=("object",))
    assert config.main.looks == (("plain", 0.5), ("mixed", 2.0))
    assert config.origins["train.looks"] == "--set"
    assert load("x", dump(config)).main.looks == config.main.looks
    assert tiny().main.looks == () and "looks = {}" in dump(tiny())


def test_a_twin_keeps_the_looks_that_it_has() -> None:
    from dataclasses import replace

    stage = replace(STAGE, mixers=("object",), looks=(("plain", 0.5), ("mixed", 0.5)))
    assert TwinConfig(mixers=()).stages([stage])[0].looks == ()
    assert TwinConfig(losses=(("l1", 1.0),)).stages([stage])[0].looks == stage.looks
    assert TwinConfig(mixers=(), looks=(("plain", 2.0),)).stages([stage])[0].looks == (("plain", 2.0),)
