"""The kit passes losses that hold and names the check that a faulty one fails."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from only import all_but
from torch import Tensor, nn

from kdcli.errors import ConfigError
from kdcli.maps import widen
from kdcli.plugins.registry import names
from kdcli.testing import ConformanceError, check_loss
from kdcli.testing.losses import LossChecks
from kdcli.testing.make import subject
from kdcli.types import ANY_KIND, DepthKind, Needs

NONE = frozenset()


class Good:
    """Mean squared difference of depth over the valid pixels."""

    api_version = 2
    needs = Needs(kinds=ANY_KIND)
    value_at_equality = 0.0
    invariances = NONE

    def terms(self, ctx: Any) -> Mapping[str, Tensor]:
        target, valid = ctx.target()
        return {"x": self.value(ctx.student.out.depth, target, valid, ctx)}

    def value(self, depth: Tensor, target: Tensor, valid: Tensor, ctx: Any) -> Tensor:
        error = torch.where(valid, depth - target, 0.0).square()
        return error.sum() / valid.sum().clamp_min(1)


@pytest.mark.parametrize("name", names("loss"))
def test_installed_losses_conform(name: str) -> None:
    check_loss(name)


def test_a_report_tells_what_was_checked() -> None:
    report = check_loss(Good)
    assert len(report.checks) == len(LossChecks(subject("loss", Good)).tests())
    assert {"terms", "value at equality", "finite differences", "device"} <= set(report.passed)
    assert not report.failed
    assert report.row()["checks"][0]["name"] == "contract"


def test_an_object_and_options_do_as_well() -> None:
    assert check_loss(Good()).passed
    assert check_loss("l1,form=hu,zero_floor=false").passed


class Features(Good, nn.Module):
    """An adapter from the student's feature to the teacher's, made once the shapes are known."""

    needs = Needs(kinds=ANY_KIND, student_taps=("enc2",), teacher_taps=("enc1",))
    value_at_equality = float("nan")

    def __init__(self) -> None:
        nn.Module.__init__(self)

    def build(self, ctx: Any) -> None:
        self.adapter = nn.Conv2d(ctx.student.feat("enc2").shape[1], ctx.teacher.feat("enc1").shape[1], 1)

    def terms(self, ctx: Any) -> Mapping[str, Tensor]:
        mine = self.adapter(widen(ctx.student.feat("enc2")))
        theirs = nn.functional.interpolate(ctx.teacher.feat("enc1"), size=mine.shape[-2:])
        return {"features": (mine - theirs).square().mean()}


class Adversarial(Good, nn.Module):
    """Own parameters with an inner loss, a weight on the task map, and input gradients."""

    needs = Needs(input_gradient="both", double_backward=True, kinds=frozenset({DepthKind.METRIC}))

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.judge = nn.Conv2d(1, 1, 3, padding=1)

    def terms(self, ctx: Any) -> Mapping[str, Tensor]:
        image = ctx.batch.image.detach().clone().requires_grad_()
        gradients = [
            torch.autograd.grad(view.call(image).depth.sum(), image, create_graph=True)[0]
            for view in (ctx.student, ctx.teacher)
        ]
        return {"input-gradient": (gradients[0] - gradients[1]).square().mean()}

    def pixel_weight(self, ctx: Any) -> Tensor:
        return torch.sigmoid(self.judge(ctx.student.out.depth)).detach()

    def inner_parameters(self) -> Any:
        return self.judge.parameters()

    def inner_loss(self, ctx: Any) -> Tensor:
        return self.judge(ctx.student.out.depth.detach()).mean()


def test_losses_with_parameters_taps_and_input_gradients_conform() -> None:
    report = check_loss(Features)
    assert {"build", "own parameters", "finite differences", "autocast", "training"} <= set(report.passed)
    assert {"optional members", "needs", "finite differences"} <= set(check_loss(Adversarial).passed)


class Several(Good):
    needs = Needs(kinds=ANY_KIND, teachers=(2, None), min_batch=4)

    def terms(self, ctx: Any) -> Mapping[str, Tensor]:
        depth = ctx.student.out.depth
        return {"x": torch.stack([(depth - view.out.depth).abs().mean() for view in ctx.teachers.values()]).mean()}

    value_at_equality = float("nan")


def test_several_teachers_and_a_least_batch_are_respected() -> None:
    report = check_loss(Several, skip=["other resolution"])
    assert {c.name for c in report.checks if c.outcome == "skipped"} >= {"batch of one", "duplicated batch"}


class NoNeeds(Good):
    needs = "none"


class OldVersion(Good):
    api_version = 0


class NotScalar(Good):
    def terms(self, ctx: Any) -> Mapping[str, Tensor]:
        return {"x": (ctx.student.out.depth - ctx.target()[0]).abs().mean(dim=(1, 2, 3))}


class NoGradient(Good):
    def value(self, depth: Tensor, target: Tensor, valid: Tensor, ctx: Any) -> Tensor:
        return super().value(depth.detach(), target, valid, ctx)


class OffAtEquality(Good):
    value_at_equality = 1.0


class SquareRoot(Good):
    def value(self, depth: Tensor, target: Tensor, valid: Tensor, ctx: Any) -> Tensor:
        return super().value(depth, target, valid, ctx).sqrt()


class TeachesTheTeacher(Good):
    def value(self, depth: Tensor, target: Tensor, valid: Tensor, ctx: Any) -> Tensor:
        return (depth - ctx.teacher.call(ctx.batch.image).depth).square().mean()


class UpdatesTheTeacher(Good):
    def value(self, depth: Tensor, target: Tensor, valid: Tensor, ctx: Any) -> Tensor:
        ctx.teacher.model.train()
        ctx.teacher.model(ctx.batch.image)
        ctx.teacher.model.eval()
        return super().value(depth, target, valid, ctx)


class NotInvariant(Good):
    invariances = frozenset({"scale"})


class DividesByNothing(Good):
    def value(self, depth: Tensor, target: Tensor, valid: Tensor, ctx: Any) -> Tensor:
        return (depth - target)[valid].square().mean()


class NeedsTwo(Good):
    def value(self, depth: Tensor, target: Tensor, valid: Tensor, ctx: Any) -> Tensor:
        assert len(depth) > 1
        return super().value(depth, target, valid, ctx)


class SameSizeOnly(Good):
    def value(self, depth: Tensor, target: Tensor, valid: Tensor, ctx: Any) -> Tensor:
        return (depth - ctx.teacher.out.depth).square().mean()


class SecretlyLabelled(Good):
    def value(self, depth: Tensor, target: Tensor, valid: Tensor, ctx: Any) -> Tensor:
        return super().value(depth, target, valid, ctx) + 0 * ctx.batch.depth.mean()


class SumsOverImages(Good):
    def value(self, depth: Tensor, target: Tensor, valid: Tensor, ctx: Any) -> Tensor:
        return len(depth) * super().value(depth, target, valid, ctx)


class DrawsGlobally(Good):
    def value(self, depth: Tensor, target: Tensor, valid: Tensor, ctx: Any) -> Tensor:
        return super().value(depth, target, valid, ctx) * (1 + 0.0 * torch.rand(()) + 0.0 * random.random())


class WrongGradient(Good):
    def value(self, depth: Tensor, target: Tensor, valid: Tensor, ctx: Any) -> Tensor:
        return super().value(depth, target, valid, ctx) * depth.mean() / depth.detach().mean() + 0 * depth.sum() + (
            3 * (depth - depth.detach())).mean()


class IdleParameters(Good, nn.Module):
    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.unused = nn.Parameter(torch.zeros(3))


class HiddenState(Good, nn.Module):
    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.weight = nn.Parameter(torch.ones(()))
        self.made = 1.0

    def terms(self, ctx: Any) -> Mapping[str, Tensor]:
        self.made *= 1.5
        return {"x": super().terms(ctx)["x"] * self.weight * self.made}


class MetricOnly(Good):
    def value(self, depth: Tensor, target: Tensor, valid: Tensor, ctx: Any) -> Tensor:
        if ctx.student.out.kind is not DepthKind.METRIC:
            raise ConfigError("metric only")
        return super().value(depth, target, valid, ctx)


class WritesIntoInputs(Good):
    def value(self, depth: Tensor, target: Tensor, valid: Tensor, ctx: Any) -> Tensor:
        ctx.batch.image.mul_(0.5)
        return super().value(depth, target, valid, ctx)


class OnTheHost(Good):
    def value(self, depth: Tensor, target: Tensor, valid: Tensor, ctx: Any) -> Tensor:
        return super().value(depth, target, valid, ctx) + 0 * torch.arange(5).sum()


class AttachedWeight(Good):
    def pixel_weight(self, ctx: Any) -> Tensor:
        depth: Tensor = ctx.student.out.depth
        return depth


class MapOfOtherShape(Good):
    def map(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        return (prediction - target).abs().squeeze(1)


class Raises(Good):
    def terms(self, ctx: Any) -> Mapping[str, Tensor]:
        raise SystemExit(7)


FAULTS = {
    NoNeeds: "contract", OldVersion: "contract", NotScalar: "terms", NoGradient: "terms",
    OffAtEquality: "value at equality", SquareRoot: "value at equality", TeachesTheTeacher: "teacher untouched",
    UpdatesTheTeacher: "teacher untouched", NotInvariant: "invariances", DividesByNothing: "no valid pixel",
    NeedsTwo: "batch of one", SameSizeOnly: "other resolution", SecretlyLabelled: "unlabelled",
    SumsOverImages: "duplicated batch", DrawsGlobally: "deterministic", WrongGradient: "finite differences",
    IdleParameters: "own parameters", HiddenState: "own parameters", MetricOnly: "every depth kind",
    WritesIntoInputs: "inputs kept", OnTheHost: "device", AttachedWeight: "optional members",
    MapOfOtherShape: "optional members", Raises: "terms",
}


@pytest.mark.parametrize(("faulty", "check"), FAULTS.items(), ids=lambda x: getattr(x, "__name__", x))
def test_a_fault_is_named(faulty: type[Good], check: str) -> None:
    with pytest.raises(ConformanceError) as caught:
        check_loss(faulty, skip=all_but("loss", check))
    assert [failed.name for failed in caught.value.report.failed] == [check]
    assert f"[{check}]" in str(caught.value)
    assert isinstance(caught.value, AssertionError)
    assert caught.value.exit_code == 3


def test_checks_can_be_left_out_by_name() -> None:
    assert not check_loss(OffAtEquality, skip=["value at equality"]).failed
    with pytest.raises(ConfigError, match="Did you mean 'value at equality'"):
        check_loss(Good, skip=["value at equalty"])
