"""Residual KD: the residual's arithmetic, two halves of which one stays as it is, one exported file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from kdcli_zoo.residual import ResidualError, ResidualPair, apart
from kdcli_zoo.residual_pair import HALVES
from torch import Tensor, nn
from zoo_runs import small

import kdcli
from kdcli.errors import SpecError
from kdcli.evals.cost import cost_of
from kdcli.networks.taps import TapReader
from kdcli.students.files import load_student, save_student
from kdcli.testing import ToyDepth, check_loss, check_student, fake_context, toy_batch
from kdcli.types import DepthKind
from kdcli.weights import load_state

TINY = "[mobilenet,width=0.35,decoder=4|mobilenet,width=0.35,decoder=6]"


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pair(form: str = "feature", location: str = TINY, **options: Any) -> ResidualPair:
    torch.manual_seed(0)
    return ResidualPair(location, form=form, **options).eval()  # type: ignore[arg-type]


def awake(network: ResidualPair) -> ResidualPair:
    """Let the assistant say something."""
    with torch.no_grad():
        for name, parameter in network.assistant.named_parameters():
            if name in ("adapter.weight", "gain"):
                parameter.copy_(torch.linspace(-0.5, 0.7, parameter.numel()).view_as(parameter))
    return network


def test_what_is_missing_is_at_zero_and_the_sum_is_the_teacher_s() -> None:
    teacher, student = drawn(2, 5, 3, 4), drawn(2, 5, 3, 4, seed=1)
    everywhere = torch.ones(2, 1, 3, 4, dtype=torch.bool)
    missing = (teacher - student).requires_grad_()
    value = apart(missing, teacher - student, teacher, everywhere)
    value.backward()
    assert value.item() == 0 and missing.grad is not None and not missing.grad.any()
    assert torch.allclose(student + missing, teacher, rtol=1e-12)
    # Where the student is the teacher already, nothing is missing.
    assert apart(torch.zeros_like(teacher), teacher - teacher, teacher, everywhere).item() == 0


def test_the_distance_is_relative_to_the_teacher_and_to_what_is_valid() -> None:
    mine, theirs = drawn(2, 5, 3, 4), drawn(2, 5, 3, 4, seed=1)
    valid = torch.rand(2, 1, 3, 4, generator=torch.Generator().manual_seed(2)) > 0.4
    chosen = valid.expand_as(mine)
    by_hand = (mine - theirs)[chosen].square().mean() / theirs[chosen].square().mean()
    assert apart(mine, theirs, theirs, valid).item() == pytest.approx(by_hand.item(), rel=1e-9)
    assert apart(2 * mine, 2 * theirs, 2 * theirs, valid).item() == pytest.approx(by_hand.item(), rel=1e-9)
    assert apart(torch.zeros_like(mine), theirs, theirs, valid).item() == pytest.approx(1)
    assert apart(mine, theirs, theirs, ~torch.ones_like(valid)).item() == 0


def context(part: str, form: str = "feature") -> Any:
    network = awake(pair(form))
    loss = ResidualError(part=part, form=form)  # type: ignore[arg-type]
    ctx, other = (
        fake_context(student=network, teachers=ToyDepth(seed=2).eval(), batch=toy_batch(size=(32, 32)))
        for _ in range(2)
    )
    with torch.no_grad():
        loss.build(other)
    return loss, ctx


@pytest.mark.parametrize("form", ["feature", "log-depth"])
def test_no_gradient_reaches_the_base_while_the_assistant_learns(form: str) -> None:
    loss, ctx = context("assistant", form)
    (value,) = loss.terms(ctx).values()
    value.backward()
    network = ctx.student.model
    assert not any(p.grad is not None and p.grad.any() for p in network.base.parameters())
    assert any(p.grad is not None and p.grad.any() for p in network.assistant.network.parameters())


@pytest.mark.parametrize("form", ["feature", "log-depth"])
def test_the_base_s_part_does_not_move_the_assistant(form: str) -> None:
    loss, ctx = context("base", form)
    (value,) = loss.terms(ctx).values()
    value.backward()
    assert any(p.grad is not None and p.grad.any() for p in ctx.student.model.base.parameters())
    assert not any(p.grad is not None and p.grad.any() for p in ctx.student.model.assistant.parameters())


def test_the_residual_behind_the_map_is_that_of_the_sum() -> None:
    loss, ctx = context("assistant")
    summed, theirs = ctx.student.feat("pre_head"), ctx.teacher.feat("pre_head")
    gap = (loss.regressor(summed) - theirs).square().mean() / theirs.square().mean()
    assert loss.terms(ctx)["residual"].item() == pytest.approx(gap.item(), rel=1e-4)


def test_log_depth_of_a_perfect_assistant_is_at_zero() -> None:
    loss, ctx = context("assistant", "log-depth")
    target, valid = ctx.target()
    mine, said = ctx.student.feat("halves").chunk(2, dim=1)
    perfect = target.log() - mine
    assert apart(perfect, target.log() - mine, target.log(), valid).item() == 0
    told = loss.terms(ctx)["residual"]
    by_hand = apart(said, perfect, target.clamp_min(1e-3).log(), valid)
    assert told.item() == pytest.approx(by_hand.item(), rel=1e-5)


@pytest.mark.parametrize("form", ["feature", "log-depth"])
def test_a_pair_begins_as_its_base_and_the_assistant_adds_to_it(form: str) -> None:
    network, image = pair(form), toy_batch(size=(32, 48)).image
    with torch.no_grad():
        before, base = network(image).depth, network.base(image).depth
        assert torch.allclose(before, base, rtol=1e-6)
        with TapReader(awake(network), ["halves", "enc2"]) as reader:
            after = network(image).depth
    assert not torch.allclose(after, before, rtol=1e-2) and reader.features["enc2"].shape[-1] == 12
    assert reader.features["halves"].shape[1] == network.taps["halves"].channels
    assert not any(module._forward_hooks for module in network.modules())


def test_the_sum_is_what_the_base_s_head_sees() -> None:
    network, image = awake(pair()), toy_batch(size=(32, 48)).image
    with torch.no_grad(), TapReader(network, ["halves", "pre_head", "input:base.head"]) as reader:
        network(image)
    found = reader.features
    mine, added = found["halves"].chunk(2, dim=1)
    assert torch.allclose(mine + added, found["pre_head"]) and added.any()
    assert torch.equal(found["input:base.head"], found["pre_head"])


def test_both_halves_cost_less_than_the_default_student() -> None:
    image = torch.rand(1, 3, 64, 96)
    costs = [
        cost_of(kdcli.build("student", spec).eval(), lambda network: network(image), (64, 96))
        for spec in ("residual", "mobilenet")
    ]
    assert all(cost.parameters and cost.multiply_adds for cost in costs)
    assert costs[0].parameters < costs[1].parameters  # type: ignore[operator]
    assert costs[0].multiply_adds < costs[1].multiply_adds  # type: ignore[operator]


@pytest.mark.parametrize("form", ["feature", "log-depth"])
def test_one_file_holds_both_and_gives_the_same_numbers(form: str, tmp_path: Path) -> None:
    network = awake(pair(form))
    report = kdcli.export(network, "onnx", tmp_path / "pair.onnx", size=(64, 64))
    assert report.worst is not None and report.worst.relative < 1e-3
    whole = sum(parameter.numel() for parameter in network.parameters())
    halves = [sum(p.numel() for p in part.parameters()) for part in (network.base, network.assistant)]
    loaded = kdcli.load_model(tmp_path / "pair.onnx")
    assert loaded.outside_parameters == whole == sum(halves)


@pytest.mark.parametrize("form", ["feature", "log-depth"])
def test_a_file_brings_the_pair_back(form: str, tmp_path: Path) -> None:
    network, image = awake(pair(form, max_depth=6.0)), toy_batch(size=(32, 48)).image
    network.depth_kind = DepthKind.SCALE_INVARIANT
    save_student(tmp_path / "pair.safetensors", network, "residual", {})
    again, card = load_student(tmp_path / "pair.safetensors")
    assert card["student"].startswith("residual:[") and again.depth_range == (0.1, 6.0)
    with torch.no_grad():
        one, two = network(image), again(image)
    assert torch.equal(one.depth, two.depth) and two.kind is DepthKind.SCALE_INVARIANT


def test_bins_of_the_base_are_those_of_the_sum() -> None:
    network = awake(pair(location="[mobilenet,width=0.35,decoder=4,head=bins,bins=8|mobilenet,width=0.35,decoder=4]"))
    with torch.no_grad():
        said = network(toy_batch(size=(32, 48)).image)
    assert said.probs is not None and said.centers is not None
    mean = (said.probs * said.centers.view(1, -1, 1, 1)).sum(1, keepdim=True)
    assert torch.allclose(mean, said.depth, rtol=1e-5)


@pytest.mark.parametrize("spec", ["residual", f"residual:{TINY},form=log-depth"])
def test_the_student_conforms(spec: str) -> None:
    check_student(spec)


@pytest.mark.parametrize("part", ["base", "assistant"])
@pytest.mark.parametrize("form", ["feature", "log-depth"])
def test_the_loss_conforms(part: str, form: str) -> None:
    check_loss(ResidualError, options={"part": part, "form": form})


@pytest.mark.parametrize("location", ["[mobilenet]", "[a|b|c]", "mobilenet|", ""])
def test_other_than_two_halves_are_refused(location: str) -> None:
    with pytest.raises(SpecError, match="residual"):
        ResidualPair(location)


@pytest.mark.parametrize("make", [
    lambda: ResidualPair(HALVES, form="x"), lambda: ResidualError(part="x"), lambda: ResidualError(form="x"),  # type: ignore[arg-type]
    lambda: ResidualError(teacher_tap=""),
])
def test_what_cannot_be_is_refused(make: Any) -> None:
    with pytest.raises(SpecError):
        make()


def test_a_network_without_the_feature_is_refused() -> None:
    class Bare(nn.Module):
        depth_kind, depth_range, taps = DepthKind.METRIC, (0.1, 8.0), {}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kdcli, "build", lambda kind, spec: Bare(), raising=False)
        with pytest.raises(SpecError, match="log-depth"):
            ResidualPair("[a|b]")


def test_a_half_without_a_range_to_choose_has_its_own() -> None:
    pair = ResidualPair("[mobilenet,width=0.35|pydnet]", form="log-depth", max_depth=20.0)
    assert pair.base.depth_range == (0.1, 20.0)


def test_the_frozen_half_does_not_drift(tmp_path: Path) -> None:
    kept: dict[str, dict[str, Tensor]] = {}

    class Watch:
        """Progress that looks at the kept result of the first stage."""

        def note(self, message: str) -> None:
            for path in (tmp_path / "run" / "checkpoints").glob("student.base.pt"):
                kept.setdefault("base", torch.load(path, weights_only=True)["student"])

        def count(self, what: str, done: int, total: int) -> None: ...
        def step(self, log: Any) -> None: ...

    config = replace(small("residual", "base.steps=3", "export=none", "run.eval_data=none"), student=f"residual:{TINY}")
    run = kdcli.distill(config, out=tmp_path / "run", progress=Watch()).run  # type: ignore[arg-type]
    after, before = load_state(run / "student.safetensors"), kept["base"]
    frozen = [name for name in after if name.startswith("base.")]
    assert any("running_mean" in name for name in frozen) and any("num_batches_tracked" in name for name in frozen)
    assert all(torch.equal(after[name].to(before[name].dtype), before[name]) for name in frozen)
    moved = [name for name in after if name.startswith("assistant.") and not torch.equal(after[name], before[name])]
    assert "assistant.adapter.weight" in moved and any("running_mean" in name for name in moved)
