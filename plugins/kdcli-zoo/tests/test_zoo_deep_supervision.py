"""Deep supervision: how losses weigh branches, what a branch costs, and a student that is exported without them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from kdcli_zoo.deep_supervision import DeepSupervision, Weights, allocation
from zoo_runs import small, trained

import kdcli
from kdcli.errors import ConfigError, SpecError
from kdcli.testing import ToyDepth, check_loss, fake_context, toy_batch
from kdcli.testing.guards import no_waiting
from kdcli.types import DepthKind

HOW: tuple[Weights, ...] = ("proportional", "softmax", "inverse", "uniform")


@pytest.mark.parametrize(
    ("how", "wanted"),
    [
        ("proportional", [0.125, 0.25, 0.625]), ("softmax", [0.0171, 0.0466, 0.9362]),
        ("inverse", [0.5882, 0.2941, 0.1176]), ("uniform", [1 / 3, 1 / 3, 1 / 3]),
    ],
)
def test_weights_of_losses_one_two_five(how: Weights, wanted: list[float]) -> None:
    found = allocation(torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64), how)
    assert found.tolist() == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("how", HOW)
def test_weights_sum_to_one_and_are_equal_for_equal_losses(how: Weights) -> None:
    generator = torch.Generator().manual_seed(0)
    for dtype in (torch.float32, torch.float64):
        for scale in (1e-12, 1e-3, 1.0, 1e3):
            losses = scale * torch.rand(4, generator=generator, dtype=dtype)
            assert float(allocation(losses, how).sum()) == pytest.approx(1, abs=1e-5)
        for value in (0.0, 0.7):
            assert allocation(torch.full((4,), value, dtype=dtype), how).tolist() == pytest.approx([0.25] * 4)


def made(**options: Any) -> tuple[DeepSupervision, Any]:
    loss = DeepSupervision(**options)
    with torch.no_grad():
        loss.build(fake_context(batch=toy_batch()))
    return loss, fake_context(batch=toy_batch())


def test_weights_carry_no_gradient() -> None:
    loss, ctx = made(student_taps="enc1|enc2", beta=0.0)
    value = loss.terms(ctx)["branches"]
    weights = torch.stack([ctx.notes[f"plugin.weight.{tap}"] for tap in ("enc1", "enc2")])
    parameters = list(loss.branches.parameters())
    gradients = torch.autograd.grad(value, parameters, retain_graph=True)
    singles = []
    for tap in ("enc1", "enc2"):
        one, other = made(student_taps=tap, beta=0.0)
        one.branches.load_state_dict({f"0.{name}": tensor for name, tensor in
                                      loss.branches[("enc1", "enc2").index(tap)].state_dict().items()})
        singles.append(torch.autograd.grad(one.terms(other)["branches"], list(one.branches.parameters())))
    wanted = [weight * g for weight, single in zip(weights, singles, strict=True) for g in single]
    for mine, theirs in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_a_branch_begins_at_the_teachers_depth_and_its_feature_is_compared_at_unit_size() -> None:
    loss, ctx = made(student_taps="enc2", teacher_tap="dec1", beta=2.0)
    terms = loss.terms(ctx)
    depth, _ = ctx.target()
    middle = depth.log().mean()
    assert terms["branches"].item() == pytest.approx(float((middle - depth.log()).abs().mean()), abs=0.1)
    for projection in loss.projections:
        for parameter in projection.parameters():
            parameter.data.zero_()
    whole, size = ctx.teacher.feat("dec1"), ctx.student.feat("enc2").shape[-2:]
    pooled = torch.nn.functional.adaptive_avg_pool2d(whole / whole.square().mean().sqrt(), size)
    torch.testing.assert_close(loss.terms(ctx)["feature"], 2 * pooled.square().mean())


def test_the_scale_of_the_teachers_feature_does_not_matter() -> None:
    def value(scale: float) -> float:
        teacher = ToyDepth(seed=2)
        teacher.dec1.register_forward_hook(lambda module, inputs, out: out * scale)
        ctx = fake_context(teachers=teacher)
        loss = DeepSupervision(teacher_tap="dec1", weights="uniform")
        torch.manual_seed(0)
        loss.build(ctx)
        return float(loss.terms(ctx)["feature"].detach())

    assert value(100.0) == pytest.approx(value(1.0), rel=1e-4)


def test_shallow_layers_learn_and_the_teacher_does_not() -> None:
    loss, ctx = made(student_taps="enc1")
    torch.stack(list(loss.terms(ctx).values())).sum().backward()
    student = ctx.student.model
    assert student.enc1[0].weight.grad.abs().sum() > 0 and student.head.weight.grad is None
    assert not [p for p in ctx.teacher.model.parameters() if p.grad is not None]


@pytest.mark.parametrize("how", HOW)
def test_no_step_waits_for_the_device(how: Weights) -> None:
    loss, ctx = made(weights=how)
    with no_waiting():
        torch.stack(list(loss.terms(ctx).values())).sum().backward()


@pytest.mark.parametrize("how", HOW)
def test_conforms(how: Weights) -> None:
    report = check_loss(DeepSupervision, options={"weights": how})
    assert "training" in report.passed and "own parameters" in report.passed
    assert ("finite differences" in report.passed) == (how == "uniform")


@pytest.mark.parametrize("options", [{"beta": 0.0}, {"student_taps": "enc2", "hidden": 5}])
def test_conforms_otherwise(options: dict[str, Any]) -> None:
    assert "own parameters" in check_loss(DeepSupervision, options=options).passed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beta": -1.0}, "beta=-1 "), ({"beta": math.nan}, "beta=nan "), ({"hidden": 0}, "hidden=0 "),
        ({"student_taps": "enc1||enc2"}, "student_taps=enc1\\|\\|enc2 names no features"),
    ],
)
def test_values_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        DeepSupervision(**options)


@pytest.mark.slow
def test_the_student_is_the_same_to_the_bit_with_branches_that_do_not_count(tmp_path: Path) -> None:
    name = "deep-supervision,student_taps=enc2|enc3"
    runs = [
        kdcli.distill(small("plain", "run.eval_data=none", losses=losses), out=tmp_path / out)
        for out, losses in (
            ("without", (("log-l1", 1.0), ("gradient", 0.5))),
            ("with", (("log-l1", 1.0), ("gradient", 0.5), (name, 0.0))),
            ("counted", (("log-l1", 1.0), ("gradient", 0.5), (name, 1.0))),
        )
    ]
    bare, idle, counted = (trained(run.run)["student.safetensors"] for run in runs)
    assert bare.keys() == idle.keys() == counted.keys()
    assert all(torch.equal(value, idle[key]) for key, value in bare.items())
    assert any(not torch.equal(value, counted[key]) for key, value in bare.items())
    assert all(value.shape == counted[key].shape for key, value in bare.items())
    files = [run.export.read_bytes() if run.export is not None else b"" for run in runs]
    assert files[0] and len(files[0]) == len(files[2])
    models = [kdcli.load_model(f"{run.run}") for run in runs]
    counts = {sum(p.numel() for p in model.parameters()) for model in models}
    assert len(counts) == 1


def test_a_tap_that_a_student_lacks_is_refused_by_name(tmp_path: Path) -> None:
    losses = (("log-l1", 1.0), ("deep-supervision,student_taps=enc9", 1.0))
    with pytest.raises(ConfigError, match="needs tap 'enc9' of the student"):
        kdcli.distill(small("plain", losses=losses), out=tmp_path / "run")


def test_depth_up_to_a_factor_will_do() -> None:
    assert DepthKind.SCALE_INVARIANT in DeepSupervision().needs.kinds
