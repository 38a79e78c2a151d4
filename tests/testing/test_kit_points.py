"""What goes wrong at some point of a run only is found: the first batch, the last, a stage of another name."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from only import only
from plain import Dims, Plain
from torch import Tensor

from kdcli.maps import masked_mean
from kdcli.testing import check_loss, check_mixer
from kdcli.testing.points import FIRST, POINTS, USUAL
from kdcli.types import ANY_KIND, Needs


class WarmsUp(Plain):
    """Nothing at first, all of it later, another share in a stage of another name."""

    def weight(self, ctx: Any) -> Any:
        return min(1.0, 4 * ctx.progress) * {"main": 1.0}.get(ctx.stage, 0.5)


class BeginsLater(Plain):
    def terms(self, ctx: Any) -> Any:
        return super().terms(ctx) if ctx.step > 0 else {}


@pytest.mark.parametrize("sound", [WarmsUp, BeginsLater])
def test_losses_that_look_at_the_counters_conform(sound: type[Plain]) -> None:
    assert not check_loss(sound).failed


def test_points_are_those_of_training() -> None:
    counters = [(p.step, p.batch_number, p.epoch, p.progress) for p in (FIRST, USUAL)]
    assert counters == [(0, 0, 0, 0.0), (3, 7, 0, 7 / 24)]
    assert len({p.stage for p in POINTS}) == 2
    assert all(p.step == p.batch_number // 2 and 0 <= p.progress < 1 for p in POINTS)
    assert any(p.batch_number != p.step for p in POINTS)
    assert POINTS[-1].progress == 23 / 24


class NotAtFirst(Plain):
    def weight(self, ctx: Any) -> Any:
        return 1 / torch.tensor(ctx.progress)


class NotAtLast(Plain):
    def weight(self, ctx: Any) -> Any:
        return torch.tensor(0.9 - ctx.progress).sqrt()


class OneStage(Plain):
    def weight(self, ctx: Any) -> Any:
        return {"main": 1.0}[ctx.stage]


class BatchesAreSteps(Plain):
    def weight(self, ctx: Any) -> Any:
        assert ctx.batch_number == ctx.step
        return 1.0


class EmptyAtFirst(Plain):
    def gap(self, ctx: Any) -> Tensor:
        target, valid = ctx.target()
        if ctx.step:
            return super().gap(ctx)
        return (ctx.student.out.depth - target)[valid].square().mean()


class ForgetsAtLast(Plain):
    """Its gradient at the end of the run is that of half the loss."""

    def gap(self, ctx: Any) -> Tensor:
        target, valid = ctx.target()
        depth = ctx.student.out.depth
        if ctx.progress > 0.9:
            depth = (depth + depth.detach()) / 2
        return masked_mean((depth - target).square(), valid)


class OffsetElsewhere(Plain):
    def gap(self, ctx: Any) -> Tensor:
        return super().gap(ctx) + float(ctx.stage != "main")


class RandomElsewhere(Plain):
    def weight(self, ctx: Any) -> Any:
        return 1.0 if ctx.stage == "main" else 1.0 + id(self) % 1009


FAULTS = {
    NotAtFirst: ("terms", "step 0 (batch 0) of stage 'main'"), NotAtLast: ("terms", "step 11 (batch 23)"),
    OneStage: ("terms", "KeyError: 'finetune'"), BatchesAreSteps: ("terms", "AssertionError"),
    EmptyAtFirst: ("no valid pixel", "step 0 (batch 0)"),
    ForgetsAtLast: ("finite differences", "step 11 (batch 23) of stage 'finetune'"),
    OffsetElsewhere: ("value at equality", "stage 'finetune'"), RandomElsewhere: ("deterministic", "stage 'finetune'"),
}


@pytest.mark.parametrize("faulty", FAULTS)
def test_a_fault_at_one_point_is_named_with_the_point(faulty: type[Plain]) -> None:
    name, told = FAULTS[faulty]
    found = only("loss", faulty, name)
    assert found.outcome == "failed"
    assert told in found.detail


class HalfAndHalf(Plain):
    """Of the teacher's depth, each image's is asked by itself."""

    value_at_equality = 0.0

    def gap(self, ctx: Any) -> Tensor:
        images = torch.arange(len(ctx.batch), device=ctx.batch.image.device)
        parts = [ctx.target(ctx.teacher.subset(images[i:i + 1])) for i in range(len(images))]
        target, valid = (torch.cat(part) for part in zip(*parts, strict=True))
        return masked_mean((ctx.student.out.depth - target).square(), valid)


class AtRest(Plain):
    """Beside its minimum along every parameter: what is left of a slope is curvature."""

    needs = Needs(kinds=ANY_KIND, student_taps=("x",))
    value_at_equality = float("nan")

    def __init__(self) -> None:
        self.rest: Tensor | None = None

    def gap(self, ctx: Any) -> Tensor:
        feature = ctx.student.feat("x").mean(dim=(0, 2, 3)).double()
        if self.rest is None:
            self.rest = feature.detach()
        return (1000 * (feature - self.rest)).square().sum()


def test_gradients_of_parts_of_a_batch_and_beside_a_minimum_are_judged_rightly() -> None:
    assert only("loss", HalfAndHalf, "finite differences").outcome == "passed"
    assert only("loss", AtRest, "finite differences").outcome == "passed"


class BrightAtLast(Dims):
    def weight(self, ctx: Any) -> Any:
        return 1.0 if ctx.progress < 0.9 else 30.0


class DimsOneStage(Dims):
    def weight(self, ctx: Any) -> Any:
        return {"main": 1.0}[ctx.stage]


class CountsElsewhere(Dims):
    seen = 0

    def weight(self, ctx: Any) -> Any:
        CountsElsewhere.seen += ctx.stage != "main"
        return 1 / (1 + CountsElsewhere.seen)


def test_mixers_are_tried_at_several_points_too() -> None:
    assert not check_mixer(Dims).failed
    bright = only("mixer", BrightAtLast, "image range")
    assert bright.outcome == "failed"
    assert "step 11 (batch 23) of stage 'finetune'" in bright.detail
    assert only("mixer", DimsOneStage, "image range").outcome == "failed"
    counts = only("mixer", CountsElsewhere, "deterministic")
    assert counts.outcome == "failed"
    assert "stage 'finetune'" in counts.detail
