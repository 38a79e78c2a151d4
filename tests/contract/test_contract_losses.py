"""What single losses are promised: inner updates, stores, choices of teachers, gradients, weights, counters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from contract_runs import Prototype, StopAt, differing, go_on, logged

from kdcli.config import load
from kdcli.errors import ConfigError, PluginError, TrainingError
from kdcli.plugins import registry
from kdcli.testing import fake_context, toy_batch
from kdcli.training.loop import checkpoint
from kdcli.training.run.folder import RunFolder
from kdcli.training.run.job import distill

ONE = """
[run]
student = "tiny,width=4"
eval_data = "none"
export = "none"
[[stage]]
name = "main"
teachers = ["tiny-teacher,number=1"]
data = "sim:blocks,count=8"
size = "32x48"
batch_size = 4
losses = { LOSSES }
steps = 3
log_every = 1
checkpoint_every = 1
"""


def one(losses: str, *settings: str) -> Any:
    """Resolve a run of one stage with some losses."""
    return load("one", ONE.replace("LOSSES", losses), {}, settings)


def test_a_discriminator_learns_by_itself_alone(installed: Path, tmp_path: Path) -> None:
    run = distill(one("critic = 0.1, log-l1 = 1.0"), out=tmp_path / "run").run
    rows = logged(run)
    assert all({"term/critic.fooled", "note/critic.gap"} <= row.keys() for row in rows)
    stopped = Prototype(recipe="critic", folder=tmp_path).stopped("student", "main", 3)
    state = checkpoint.read(RunFolder(stopped).state)
    (inner,) = state["inner"].values()
    assert {int(row["step"]) for row in inner["state"].values()} == {6}  # two updates a step
    assert all({"square_avg", "momentum_buffer"} <= row.keys() for row in inner["state"].values())


def test_a_stage_in_which_only_inner_updates_learn(installed: Path, tmp_path: Path) -> None:
    config = one("critic = 1.0", 'freeze=["student"]')
    learner = replace(config.main, name="critic-first")
    both = replace(config, stages=(learner, replace(config.main, freeze=())))
    run = distill(both, out=tmp_path / "run").run
    assert [row["stage"] for row in logged(run)] == ["critic-first"] * 3 + ["main"] * 3


def test_a_bank_fills_and_is_kept(installed: Path, tmp_path: Path) -> None:
    run = Prototype(recipe="bank", folder=tmp_path).stopped("student", "main", 4)
    kept = checkpoint.read(RunFolder(run).state)["plugin_states"]["bank"]
    assert kept["ring"].shape == (10, 16) and kept["steps"] == [0, 1, 2, 3]
    assert [row["note/bank.filled"] for row in logged(run)] == [0.4, 0.8, 1.0, 1.0]


def test_each_teacher_answers_for_itself(installed: Path, tmp_path: Path) -> None:
    prototype = Prototype(recipe="choice", folder=tmp_path)
    config = prototype.config("batch_size=8")
    stage = replace(config.main, losses=(("asks", 1.0),))
    run = distill(replace(config, stages=(stage,), twin=None), out=tmp_path / "run").run
    assert [row["note/asks.wrong"] for row in logged(run)] == [0.0] * 5
    assert RunFolder(run).config().main.mixers == ("cameras",)


def test_each_teacher_answers_for_itself_in_the_kit_too(installed: Path) -> None:
    focals = {"0": 0, "1": 60, "2": 90}
    teachers = {n: registry.build("teacher", f"tiny-teacher,number={n},focal={focal}") for n, focal in focals.items()}
    batch = toy_batch(batch=8)
    assert batch.intrinsics is not None
    batch.intrinsics[:, 0] = torch.linspace(40, 120, 8)
    ctx = fake_context(batch=batch, teachers=teachers)
    loss = registry.build("loss", "asks")
    loss.terms(ctx)
    assert list(ctx.notes.values()) == [0]
    # Cameras do differ, and so do teachers: an answer of another one would have been seen.
    first, second = (ctx.target(view)[0] for view in list(ctx.teachers.values())[1:])
    assert not torch.allclose(first, second)
    alone = ctx.target(ctx.teachers["1"].subset(torch.tensor([7])))[0]
    assert torch.allclose(alone[0], first[7], atol=1e-4)
    assert not torch.allclose(alone[0], teachers["1"](batch.image[7:]).depth[0])


def test_every_image_is_taught_by_one_expert_and_hardness_is_remembered(installed: Path, tmp_path: Path) -> None:
    run = Prototype(recipe="choice", folder=tmp_path).stopped("student", "main", 4)
    kept = checkpoint.read(RunFolder(run).state)["plugin_states"]["expert"]["difficulty"]
    assert len(kept) == 12 and all(value > 0 for value in kept.values())


def test_a_student_without_second_derivative_is_refused_by_its_layer(installed: Path, tmp_path: Path) -> None:
    prototype = Prototype(recipe="gradients", folder=tmp_path)
    with pytest.raises(ConfigError, match=r"'input-gradients' differentiates.*enc1\.2 \(Hardsigmoid\)"):
        prototype.run("refused", student="tiny,activation=hardsigmoid")
    assert not (tmp_path / "refused").exists()
    with pytest.raises(ConfigError, match="needs full precision"):
        prototype.run("refused", "amp=bf16")


def test_terms_have_weights_of_their_own(installed: Path, tmp_path: Path) -> None:
    def first(losses: str) -> dict[str, float]:
        path = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        return logged(distill(one(losses, "steps=1"), out=path).run)[0]

    plain, alone = first("zoo = 2.0"), first('"zoo:part" = 0.5')
    both = first('zoo = 2.0, "zoo:part" = 0.5')
    part, rest = plain["term/zoo.part"], plain["term/zoo.rest"]
    assert both["term/zoo.part"] == part and both["term/zoo.rest"] == rest
    assert plain["loss"] == pytest.approx(2 * part + 2 * rest, rel=1e-6)
    assert both["loss"] == pytest.approx(0.5 * part + 2 * rest, rel=1e-6)
    assert alone["loss"] == pytest.approx(0.5 * part + rest, rel=1e-6)
    named = first('"zoo,as=mine" = 1.0, "mine:rest" = 0.0')
    assert named["loss"] == pytest.approx(part, rel=1e-6) and named["term/mine.rest"] == rest
    with pytest.raises(ConfigError, match=r"loss 'zoo' has no term 'prat'\. Did you mean 'part'\? Terms: part, rest"):
        first('zoo = 1.0, "zoo:prat" = 0.5')


def test_steps_are_updates_and_batches_are_counted_beside_them(installed: Path, tmp_path: Path) -> None:
    config = one("zoo = 1.0, bank = 1.0", "accumulate=2")
    rows = logged(distill(config, out=tmp_path / "run").run)
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert [row["note/zoo.step"] for row in rows] == [0, 1, 2]
    assert [row["note/zoo.batch"] for row in rows] == [1, 3, 5]  # the last one of each update is told
    assert [row["note/bank.filled"] for row in rows] == [0.4, 0.8, 1.0]  # once an update


@pytest.mark.parametrize("spec", ["labelled-only", "labelled-only,silent=true"])
def test_batches_without_labels_teach_nothing_and_that_is_said(
    installed: Path, tmp_path: Path, spec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kdcli.sources.sim import SimSource

    real, labelled = SimSource.batch, {0, 1, 2, 3}

    def without(self: SimSource, indices: Any, *rest: Any) -> Any:
        batch = real(self, indices, *rest)
        kept = [int(i) in labelled for i in indices]
        if not any(kept):
            return replace(batch, depth=None, valid=None, labelled=None)
        return replace(batch, labelled=torch.tensor(kept))

    monkeypatch.setattr(SimSource, "batch", without)
    run = distill(one(f'"{spec}" = 1.0', "steps=4"), out=tmp_path / "some").run
    assert any(row.get("note/labelled-only.labelled") != 0 for row in logged(run))
    labelled.clear()
    out = tmp_path / "none"
    with pytest.raises(TrainingError, match=r"stage 'main' learned nothing in 4 steps: no batch of 'sim:blocks"):
        distill(one(f'"{spec}" = 1.0', "steps=4"), out=out)
    assert RunFolder(out).manifest()["state"] == "failed" and not RunFolder(out).student.exists()
    with pytest.raises(TrainingError, match="learned nothing"):  # and it does not become a student by going on
        go_on(out)


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("numpy", "numpy.float64"), ("array", "numpy.ndarray"), ("generator", "Generator"),
        ("gradient", "a tensor with a gradient, keep value.detach()"), ("object", "odd_losses.hoarder.Hoarder"),
        ("set", "builtins.set"), ("nested", "numpy.int64"), ("parameter", "Parameter"), ("dtype", "torch.dtype"),
    ],
)
def test_a_store_refuses_at_once_what_no_checkpoint_gives_back(
    installed: Path, tmp_path: Path, what: str, told: str
) -> None:
    with pytest.raises(PluginError) as error:
        distill(one(f'"hoarder,what={what},since=1,as=zoo" = 1.0'), out=tmp_path / "run")
    text = str(error.value)
    assert "'zoo' of stage 'main' keeps ctx.state['hoard'], which a checkpoint could not give back" in text
    assert told in text and "odd-losses" in text and "\n" not in text
    assert [row["step"] for row in logged(tmp_path / "run")] == [1]


@pytest.mark.parametrize("recipe", ["bank", "critic"])
def test_with_batches_accumulated_it_goes_on_to_the_same_bits(installed: Path, tmp_path: Path, recipe: str) -> None:
    prototype = Prototype(recipe=recipe, folder=tmp_path)
    config = replace(prototype.config("accumulate=2", "ema=0.5", "jitter=0.2"), twin=None)
    distill(config, out=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        distill(config, out=tmp_path / "split", progress=StopAt("student", "main", 2))
    go_on(tmp_path / "split")
    assert not differing(tmp_path / "whole", tmp_path / "split")


def test_a_term_that_a_built_in_loss_does_not_have_is_said_at_once(installed: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"loss 'l1' has no term 'l2'\. .*Terms: l1"):
        distill(one('l1 = 1.0, "l1:l2" = 0.5'), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
