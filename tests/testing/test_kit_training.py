"""Build, state, notes, after_step, inner optimisers and labels as training has them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import torch
from only import only
from plain import Dims, Plain
from torch import Tensor, nn

from kdcli.maps import masked_mean
from kdcli.testing import check_loss, check_mixer
from kdcli.types import ANY_KIND, Batch, Needs


class Banked(Plain, nn.Module):
    """A bank in a buffer and one in ctx.state, an average moved after the step, notes, a critic with its optimiser."""

    needs = Needs(kinds=ANY_KIND)
    value_at_equality = float("nan")

    def __init__(self) -> None:
        nn.Module.__init__(self)

    def build(self, ctx: Any) -> None:
        assert not torch.is_grad_enabled()
        assert not ctx.student.out.depth.requires_grad
        self.register_buffer("bank", torch.zeros(4, device=ctx.batch.image.device))
        self.critic = nn.Conv2d(1, 1, 1)

    def gap(self, ctx: Any) -> Tensor:
        ctx.note("seen", 3.0)
        ctx.note("farthest", ctx.student.out.depth.max())
        past: list[Tensor] = ctx.state.get("means", [])
        memory = torch.stack([*past, self.bank.mean()]).mean()
        return super().gap(ctx) * (1 + memory)

    def after_step(self, ctx: Any) -> None:
        assert not torch.is_grad_enabled()
        mean = ctx.student.out.depth.detach().mean()
        self.bank.copy_(self.bank.roll(1)).index_fill_(0, torch.zeros(1, dtype=torch.int64), float(mean))
        ctx.state["means"] = [*ctx.state.get("means", []), mean][-2:]

    def inner_parameters(self) -> Iterable[nn.Parameter]:
        return self.critic.parameters()

    def inner_optimizer(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.RMSprop(parameters, lr=1e-3)

    def inner_loss(self, ctx: Any) -> Tensor:
        return self.critic(ctx.student.out.depth.detach().float()).square().mean()


def test_a_loss_that_keeps_and_learns_conforms() -> None:
    report = check_loss(Banked)
    assert {"build", "terms", "deterministic", "optional members", "training", "device"} <= set(report.passed)
    told = {check.name: check.detail for check in report.checks}
    assert told["training"] == "2 updates, resumed to the bit"
    assert told["optional members"] == "inner_loss, after_step"


class KeepsAnObject(Plain):
    def gap(self, ctx: Any) -> Tensor:
        ctx.state["best"] = object()
        return super().gap(ctx)


class KeepsTheGraph(Plain):
    def gap(self, ctx: Any) -> Tensor:
        gap = super().gap(ctx)
        ctx.state["gap"] = gap
        return gap


class KeepsLater(Plain):
    """The list is sound when it is put in."""

    def gap(self, ctx: Any) -> Tensor:
        ctx.state.setdefault("seen", []).append(self)
        return super().gap(ctx)


class FailsAfterwards(Plain):
    def after_step(self, ctx: Any) -> None:
        ctx.student.out.depth.mean().backward()


class Forgets(Plain):
    """Counts in a plain attribute, from the second update on."""

    def __init__(self) -> None:
        self.updates = 0

    def weight(self, ctx: Any) -> Any:
        return 1.0 + self.updates

    def after_step(self, ctx: Any) -> None:
        self.updates += 1


class TrainsInBuild(Banked):
    def build(self, ctx: Any) -> None:
        super(Banked, self).gap(ctx).backward()


class BuildsAnew(Banked):
    def build(self, ctx: Any) -> None:
        super().build(ctx)
        self.critic.weight.data += id(self) % 1009


class BuildsInTheStudent(Banked):
    def build(self, ctx: Any) -> None:
        super().build(ctx)
        next(ctx.student.model.parameters()).mul_(2)


class NoOptimizer(Banked):
    def inner_optimizer(self, parameters: list[nn.Parameter]) -> Any:
        return "adam"


class OtherParameters(Banked):
    def inner_optimizer(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters[:1], lr=0.1)


class HalfInner(Plain):
    def inner_loss(self, ctx: Any) -> Tensor:
        return super().gap(ctx)


class NeedsLabels(Plain):
    """Reads the batch where ctx.truth() would do."""

    needs = Needs(kinds=ANY_KIND, ground_truth=True)

    def gap(self, ctx: Any) -> Tensor:
        return super().gap(ctx) + ctx.batch.depth.mean()

    value_at_equality = float("nan")


class CountsUnknown(Plain):
    """Takes the zeros of images without labels for depth."""

    needs = Needs(kinds=ANY_KIND, ground_truth=True)

    def gap(self, ctx: Any) -> Tensor:
        truth, _ = ctx.truth()
        return super().gap(ctx) + (ctx.student.out.depth - truth).div(truth).abs().mean()

    value_at_equality = float("nan")


FAULTS: dict[type[Plain], tuple[str, str]] = {
    KeepsAnObject: ("terms", "loss 'KeepsAnObject' keeps ctx.state['best']"),
    KeepsTheGraph: ("terms", "a tensor with a gradient, keep value.detach()"),
    KeepsLater: ("training", "keeps ctx.state['seen'], which a checkpoint could not give back"),
    FailsAfterwards: ("training", "RuntimeError"),
    Forgets: ("training", "an interrupted run that goes on comes to another"),
    TrainsInBuild: ("build", "does not require grad"), BuildsAnew: ("build", "under the same seed"),
    BuildsInTheStudent: ("build", "student: enc1.0.weight changed"),
    NoOptimizer: ("optional members", "returns str, not a torch.optim.Optimizer"),
    OtherParameters: ("optional members", "inner_optimizer holds 1 parameters that are not the 2"),
    HalfInner: ("optional members", "inner_parameters() and inner_loss(ctx) belong together"),
    NeedsLabels: ("unlabelled", "NoneType"), CountsUnknown: ("unlabelled", "is inf"),
}


@pytest.mark.parametrize("faulty", FAULTS)
def test_a_fault_is_named(faulty: type[Plain]) -> None:
    name, told = FAULTS[faulty]
    found = only("loss", faulty, name)
    assert found.outcome == "failed"
    assert told in found.detail


def test_a_loss_that_fails_anywhere_is_not_told_to_declare_more() -> None:
    found = only("loss", KeepsAnObject, "needs")
    assert found.outcome == "skipped"
    assert "ctx.state['best']" in found.detail


class Labelled(Plain):
    """Truth and task map, asked as the contract has it."""

    needs = Needs(kinds=ANY_KIND, ground_truth=True, task_map=True)
    value_at_equality = float("nan")

    def gap(self, ctx: Any) -> Tensor:
        truth, known = ctx.truth()
        error, counted = ctx.task_map(ctx.student.out)
        off = masked_mean((ctx.student.out.depth - truth).abs(), known)
        return super().gap(ctx) + off + masked_mean(error, counted)


def test_truth_and_task_map_do_without_labels() -> None:
    assert {"unlabelled", "terms", "needs", "training"} <= set(check_loss(Labelled).passed)


def test_an_object_is_copied_for_every_check() -> None:
    loss = Banked()
    assert not check_loss(loss).failed
    assert not hasattr(loss, "critic")


class Remembers(Dims, nn.Module):
    """A mixer that keeps an average of what it saw."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.register_buffer("mean", torch.full((), 0.5))

    def weight(self, ctx: Any) -> Any:
        return self.mean.clamp(0, 1)

    def after_step(self, ctx: Any) -> None:
        self.mean.lerp_(ctx.batch.image.mean(), 0.1)


class RemembersBadly(Dims):
    def __init__(self) -> None:
        self.mean = 0.5

    def weight(self, ctx: Any) -> Any:
        return self.mean

    def after_step(self, ctx: Any) -> None:
        self.mean = float(ctx.batch.image.mean())


class Adds(Remembers):
    def terms(self, ctx: Any) -> dict[str, Tensor]:
        return {"dark": ctx.batch.image.mean() / 0}


class KeepsTheBatch(Dims):
    def mix(self, batch: Batch, ctx: Any) -> Batch:
        if hasattr(ctx, "state"):
            ctx.state["batch"] = batch
        return super().mix(batch, ctx)


def test_mixers_are_trained_with_as_well() -> None:
    assert "training" in check_mixer(Remembers).passed
    told = {faulty: only("mixer", faulty, "training") for faulty in (RemembersBadly, Adds, KeepsTheBatch)}
    assert {check.outcome for check in told.values()} == {"failed"}
    assert "comes to another" in told[RemembersBadly].detail
    assert "the loss of update 0 is inf" in told[Adds].detail
    assert "ctx.state['batch']" in told[KeepsTheBatch].detail
