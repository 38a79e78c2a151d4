"""What a loss uses without declaring it, and what it declares but is not given, is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from only import only
from plain import Dims, Plain
from torch import Tensor, nn

from kdcli.errors import ConfigError
from kdcli.maps import widen
from kdcli.testing import ToyDepth, check_loss, check_mixer
from kdcli.types import ANY_KIND, DepthKind, Needs, Prediction


class Bins(Plain):
    def gap(self, ctx: Any) -> Tensor:
        return super().gap(ctx) + 0 * ctx.student.out.probs.mean()


class TeacherBins(Plain):
    def gap(self, ctx: Any) -> Tensor:
        return super().gap(ctx) + 0 * ctx.teacher.out.probs.mean()


class Twice(Plain):
    def gap(self, ctx: Any) -> Tensor:
        image = ctx.batch.image.detach().clone().requires_grad_()
        depth = ctx.student.call(image).depth
        (slope,) = torch.autograd.grad(depth.float().sum(), image, create_graph=True)
        return super().gap(ctx) + slope.square().mean()

    value_at_equality = float("nan")


class TaskMap(Plain):
    def gap(self, ctx: Any) -> Tensor:
        error, counted = ctx.task_map(ctx.student.out)
        return super().gap(ctx) + torch.where(counted, error, 0.0).mean()

    value_at_equality = float("nan")


def declared(loss: type[Plain], **needs: Any) -> type[Plain]:
    return type(loss.__name__, (loss,), {"needs": Needs(kinds=ANY_KIND, **needs)})


PROBS = frozenset({"probs"})
USES: dict[type[Plain], tuple[str, dict[str, Any]]] = {
    Bins: ("needs.outputs", {"outputs": PROBS}), TeacherBins: ("needs.teacher_outputs", {"teacher_outputs": PROBS}),
    Twice: ("needs.double_backward", {"double_backward": True, "input_gradient": "both"}),
    TaskMap: ("needs.task_map", {"task_map": True}),
}


@pytest.mark.parametrize("loss", USES)
def test_what_is_used_has_to_be_declared(loss: type[Plain]) -> None:
    name, needs = USES[loss]
    found = only("loss", loss, "needs")
    assert found.outcome == "failed"
    assert found.detail.endswith(f"declare it: {name}")
    report = check_loss(declared(loss, **needs))
    assert {"needs", "terms", "unlabelled", "finite differences", "training"} <= set(report.passed)


class Narrow(nn.Module):
    """A depth network of an author: depth alone, layers without a second derivative, parts of its own names."""

    def __init__(self, kind: DepthKind = DepthKind.METRIC, layer: Callable[[], nn.Module] = nn.Softplus,
                 seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.depth_kind, self.depth_range, self.taps = kind, (0.5, 9.0), {}  # type: ignore[var-annotated]
        self.body = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), layer(), nn.Conv2d(6, 1, 3, padding=1))

    def forward(self, image: Tensor) -> Prediction:
        return Prediction(depth=0.5 + 8 * self.body(image).sigmoid(), kind=self.depth_kind)


class _Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clamp_min(0)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * (ctx.saved_tensors[0] > 0)


class OnceOnly(nn.Module):
    def forward(self, x: Tensor) -> Any:
        return _Once.apply(x)


def test_what_is_declared_but_not_given_is_named() -> None:
    probs = declared(Plain, outputs=PROBS)
    assert "needs the student's probs" in only("loss", probs, "needs", student=Narrow()).detail
    its = declared(Plain, teacher_outputs=PROBS)
    told = only("loss", its, "needs", teachers={"mine": Narrow()}).detail
    assert "needs probs of teacher 'mine'" in told
    tap = declared(Plain, student_taps=("module:tail",))
    assert "needs tap 'module:tail' of the student" in only("loss", tap, "needs", student=Narrow()).detail
    several = declared(Plain, teachers=(2, 3))
    assert "needs 2 to 3 teachers" in only("loss", several, "needs", teachers=Narrow()).detail
    kinds = type("Kinds", (Plain,), {"needs": Needs(kinds=frozenset({DepthKind.METRIC}))})
    wrong = only("loss", kinds, "needs", teachers=Narrow(DepthKind.AFFINE_DEPTH))
    assert "does not fit teacher 'teacher', whose depth is affine_depth" in wrong.detail


def test_a_student_without_second_derivatives_is_named_by_its_layer() -> None:
    twice = declared(Twice, double_backward=True, input_gradient="both")
    assert only("loss", twice, "needs", student=Narrow()).outcome == "passed"
    found = only("loss", twice, "needs", student=Narrow(layer=OnceOnly))
    assert found.outcome == "failed"
    assert "body.1 (OnceOnly)" in found.detail


def test_a_layer_that_overwrites_its_input_is_looked_at_like_others() -> None:
    def both() -> nn.Module:
        return nn.Sequential(nn.ReLU(inplace=True), OnceOnly())

    twice = declared(Twice, double_backward=True, input_gradient="both")
    found = only("loss", twice, "needs", student=Narrow(layer=both))
    assert "body.1.1 (OnceOnly)" in found.detail


class InnerLook(Plain):
    """Looks into a network of its author's that no toy resembles."""

    needs = Needs(kinds=ANY_KIND, student_taps=("module:body.0",), teacher_taps=("input:body.2",))

    def gap(self, ctx: Any) -> Tensor:
        mine, its = ctx.student.feat("module:body.0"), ctx.teacher.feat("input:body.2")
        assert mine.shape[1] == 6
        return super().gap(ctx) + 0 * (widen(mine).mean() - widen(its).mean())


class Reaches(Dims, nn.Module):
    """A mixer whose inner update needs a teacher with a body."""

    needs = Needs(input_gradient="teacher")

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.share = nn.Parameter(torch.tensor(0.5))

    def inner_parameters(self) -> list[nn.Parameter]:
        return [self.share]

    def inner_loss(self, ctx: Any) -> Tensor:
        _, features = ctx.teachers["big"].call(ctx.batch.image * self.share, taps=["module:body.0"])
        return features["module:body.0"].square().mean()


def test_own_networks_stand_in_for_toys_and_stay_as_they_are() -> None:
    student, big = Narrow(), Narrow(seed=1)
    before = {name: value.clone() for name, value in student.state_dict().items()}
    report = check_loss(InnerLook, student=student, teachers={"big": big}, task="log-l1")
    assert {"needs", "terms", "value at equality", "finite differences", "no valid pixel", "other resolution",
            "training"} <= set(report.passed)
    assert check_mixer(Reaches, teachers={"big": big}).passed
    assert all(torch.equal(before[name], value) for name, value in student.state_dict().items())
    assert student.training
    assert all(p.requires_grad and p.grad is None for model in (student, big) for p in model.parameters())
    assert not list(student._forward_hooks)
    assert only("loss", InnerLook, "terms").outcome == "failed", "a toy has no body of six channels"
    assert only("mixer", Reaches, "inner updates").outcome == "failed"


class NoGradient(Narrow):
    differentiable = False


def test_a_mixer_whose_teacher_gives_no_gradient_is_refused() -> None:
    found = only("mixer", Reaches, "training", teachers={"big": NoGradient()})
    assert found.outcome == "failed"
    assert "needs a gradient through teacher 'big'" in found.detail


def test_specs_will_do_and_what_is_no_network_is_refused() -> None:
    assert only("loss", "tie-kd", "terms", student="mobilenet,width=0.35,head=bins").outcome == "passed"
    with pytest.raises(ConfigError, match="Linear is no depth model: a student has depth_kind"):
        check_loss(Plain, student=nn.Linear(2, 2))
    with pytest.raises(ConfigError, match="has no map"):
        check_loss(Plain, task="silog")


class HalfPrecision(nn.Module, Plain):
    needs = Needs(kinds=ANY_KIND, student_taps=("x",))

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(8, 1, 1)

    def gap(self, ctx: Any) -> Tensor:
        return super().gap(ctx) + self.layer(ctx.student.feat("x")).square().mean()

    value_at_equality = float("nan")


class FullPrecision(HalfPrecision):
    needs = Needs(kinds=ANY_KIND, student_taps=("x",), precision="full")


def test_features_in_bfloat16_are_met_or_refused() -> None:
    found = only("loss", HalfPrecision, "autocast")
    assert found.outcome == "failed"
    assert "needs.precision='full'" in found.detail
    assert only("loss", FullPrecision, "autocast").outcome == "skipped"
    assert only("loss", Plain, "autocast").outcome == "passed"
    assert ToyDepth().depth_kind is DepthKind.METRIC
