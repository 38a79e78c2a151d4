"""The kit passes networks that hold and names the check that a faulty one fails."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.protocols import plugin
from kdcli.testing import ConformanceError, ToyDepth, check_student, check_teacher, fake_context, toy_batch
from kdcli.types import DepthKind, MadeFor, Prediction, Tap

SIZES = ((32, 48), (48, 64))


class Good(ToyDepth):
    api_version = 2


@plugin
def from_a_function(*, bins: int = 8) -> ToyDepth:
    return ToyDepth(bins=bins)


@pytest.mark.parametrize("spec", ["mobilenet,width=0.35", "mobilenet,width=0.35,head=bins,bins=16"])
def test_installed_students_conform(spec: str) -> None:
    assert "gradients" in check_student(spec).passed


@pytest.mark.parametrize(("made", "wrong"), [
    (MadeFor(train_size=(32, 48), far=10.0), None), ({"far": 10.0}, "made_for is dict"),
    (MadeFor(eval_size=(48, 0)), "eval_size of made_for"), (MadeFor(near=9.0, far=2.0), "near of made_for"),
])
def test_what_it_was_made_for_has_to_hold(made: object, wrong: str | None) -> None:
    class Says(Good):
        made_for = made

    report = check_student(Says, sizes=SIZES, strict=False)
    found = " ".join(str(one) for one in report.failed)
    assert (not report.failed) if wrong is None else wrong in found


def test_classes_functions_and_objects_conform() -> None:
    for target in (Good, from_a_function, ToyDepth(kind=DepthKind.AFFINE_DISPARITY, stride=1)):
        report = check_student(target, sizes=SIZES)
        assert len(report.passed) == 12, report
    assert len(check_teacher(Good, sizes=SIZES).passed) == 13


def test_the_teacher_of_ground_truth_conforms() -> None:
    assert "output" in check_teacher("ground-truth").passed


class Plain:
    api_version = 2
    depth_kind, depth_range, taps = DepthKind.METRIC, (0.1, 1.0), {}  # type: ignore[var-annotated]


class NoKind(Good):
    def __init__(self) -> None:
        super().__init__()
        self.depth_kind = "metric"  # type: ignore[assignment]


class EmptyRange(Good):
    def __init__(self) -> None:
        super().__init__()
        self.depth_range = (8.0, 0.5)


class Faulty(Good):
    """Changes a sound prediction."""

    def forward(self, image: Tensor) -> Any:
        return self.change(super().forward(image), image)

    def change(self, out: Prediction, image: Tensor) -> Any:
        raise NotImplementedError


class BareTensor(Faulty):
    def change(self, out: Prediction, image: Tensor) -> Any:
        return out.depth


class OtherKind(Faulty):
    def change(self, out: Prediction, image: Tensor) -> Any:
        return replace(out, kind=DepthKind.AFFINE_DEPTH)


class NoDistribution(Faulty):
    def change(self, out: Prediction, image: Tensor) -> Any:
        assert out.probs is not None
        return replace(out, probs=2 * out.probs)


class FlatDepth(Faulty):
    def change(self, out: Prediction, image: Tensor) -> Any:
        return replace(out, depth=out.depth.squeeze(1))


class OneSize(Faulty):
    def change(self, out: Prediction, image: Tensor) -> Any:
        assert image.shape[-2:] == (32, 48), "only 32x48"
        return out


class TooFar(Faulty):
    def change(self, out: Prediction, image: Tensor) -> Any:
        return replace(out, depth=out.depth * 10)


class NotForBlack(Faulty):
    def change(self, out: Prediction, image: Tensor) -> Any:
        return replace(out, depth=out.depth / image.mean((1, 2, 3), keepdim=True).sign())


class Dropout(Faulty):
    def change(self, out: Prediction, image: Tensor) -> Any:
        return replace(out, depth=functional.dropout(out.depth, 0.1, training=True).clamp(0.5, 8))


class WritesImage(Faulty):
    def change(self, out: Prediction, image: Tensor) -> Any:
        image.data.mul_(0.5)
        return out


class LooksAtNeighbours(Faulty):
    def change(self, out: Prediction, image: Tensor) -> Any:
        return replace(out, depth=(out.depth - out.depth.mean() + 4).clamp(0.5, 8))


class UpdatesItself(Faulty):
    def change(self, out: Prediction, image: Tensor) -> Any:
        self.enc1[1].running_mean += 0.1
        return out


class WrongTap(Good):
    def __init__(self) -> None:
        super().__init__()
        self.taps["enc2"] = Tap(module="enc2", stride=8, channels=12)


class WrongChannels(Good):
    def __init__(self) -> None:
        super().__init__()
        self.taps["enc2"] = Tap(module="enc2", stride=4, channels=13)


class HiddenWeights(Good):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("secret", torch.rand(1), persistent=False)
        self.calls = 0.0

    def forward(self, image: Tensor) -> Prediction:
        out = super().forward(image)
        return replace(out, depth=(out.depth + self.head.weight.abs().sum().sign() * self.made()).clamp(0.5, 8))

    def made(self) -> float:
        return 0.1 * float(not getattr(self, "copied", False))

    def __deepcopy__(self, memo: dict[int, Any]) -> HiddenWeights:
        other = HiddenWeights()
        other.copied = True  # type: ignore[assignment]
        other.load_state_dict(self.state_dict())
        return other


class OnTheHost(Faulty):
    def change(self, out: Prediction, image: Tensor) -> Any:
        ramp = torch.linspace(0.9, 1.0, out.depth.shape[-1], device="cpu")
        return replace(out, depth=(out.depth * ramp).clamp(0.5, 8))


class AnotherFunction(Good):
    def deployed(self) -> nn.Module:
        with torch.no_grad():
            self.head.weight.mul_(1.5)
        return self


class Detached(Faulty):
    def change(self, out: Prediction, image: Tensor) -> Any:
        return replace(out, depth=out.depth.detach() + 0 * image.mean())


class Exploding(Faulty):
    def change(self, out: Prediction, image: Tensor) -> Any:
        zero = out.depth - out.depth.detach()
        return replace(out, depth=out.depth + zero.abs().sqrt())


FAULTS = {
    Plain: "contract", NoKind: "contract", EmptyRange: "contract", BareTensor: "output", OtherKind: "output",
    NoDistribution: "output", FlatDepth: "output", OneSize: "sizes", TooFar: "range", NotForBlack: "black and white",
    Dropout: "deterministic", WritesImage: "deterministic", LooksAtNeighbours: "images independent",
    UpdatesItself: "evaluation changes nothing", WrongTap: "taps", WrongChannels: "taps",
    HiddenWeights: "state round trip", OnTheHost: "device", AnotherFunction: "deployed",
    Detached: "gradients", Exploding: "gradients",
}


@pytest.mark.parametrize(("faulty", "check"), FAULTS.items(), ids=lambda x: getattr(x, "__name__", x))
def test_a_fault_is_named(faulty: Any, check: str) -> None:
    with pytest.raises(ConformanceError) as caught:
        check_student(faulty, sizes=SIZES)
    assert check in {failed.name for failed in caught.value.report.failed}


class WithoutGradient(Good):
    def forward(self, image: Tensor) -> Prediction:
        with torch.no_grad():
            return super().forward(image)


class Anonymous(Good):
    def __init__(self) -> None:
        super().__init__()
        self.provenance = "the net"  # type: ignore[assignment]


@pytest.mark.parametrize(("faulty", "check"), [(WithoutGradient, "gradient to the image"), (Anonymous, "provenance")])
def test_a_fault_of_a_teacher_is_named(faulty: Any, check: str) -> None:
    with pytest.raises(ConformanceError) as caught:
        check_teacher(faulty, sizes=SIZES)
    assert [failed.name for failed in caught.value.report.failed] == [check]


def test_the_kit_leaves_a_given_network_as_it_was() -> None:
    model = ToyDepth()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    check_student(model, sizes=SIZES)
    check_teacher(model, sizes=SIZES)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert torch.equal(state, torch.get_rng_state())


def test_the_fake_context_keeps_what_a_step_promises() -> None:
    ctx = fake_context(taps=["mine"], seed=4, step=9)
    assert (ctx.step, ctx.teacher.passes) == (9, 0)
    depth, valid = ctx.target()
    assert depth.shape == ctx.student.out.depth.shape == valid.shape
    assert not depth.requires_grad
    assert ctx.student.out.depth.requires_grad
    assert ctx.teacher.passes == 1
    assert ctx.student.feat("mine").shape[1] == 8
    assert not ctx.teacher.feat("enc2").requires_grad
    image = ctx.batch.image.clone().requires_grad_()
    assert torch.autograd.grad(ctx.teacher.call(image).depth.sum(), image)[0].abs().sum() > 0
    assert len(ctx.teacher.subset(torch.tensor([1])).out.depth) == 1
    assert all(parameter.grad is None for parameter in ctx.teacher.model.parameters())
    error, counted = ctx.task_map(ctx.student.out)
    assert error.shape == counted.shape == depth.shape


def test_the_toy_batch_is_labelled_and_a_function_of_its_seed() -> None:
    one, two, other = toy_batch(seed=1), toy_batch(seed=1), toy_batch(seed=2)
    assert torch.equal(one.image, two.image)
    assert not torch.equal(one.image, other.image)
    assert one.depth is not None
    assert one.instances is not None
    assert set(one.instances.unique().tolist()) == {0, 1, 2}
    assert one.depth.min() > 0
    assert toy_batch(labelled=False).depth is None
    assert isinstance(ToyDepth(), nn.Module)
