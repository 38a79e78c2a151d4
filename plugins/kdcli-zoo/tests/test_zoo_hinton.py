"""Hinton's KD over depth bins: the authors' numbers, bells against the closed form, stand-ins."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from kdcli_zoo.hinton import Hinton, between_bells, soft_kl
from kdcli_zoo.shared.bins import log_centers, log_distribution, resample, two_hot
from torch import Tensor, nn

import kdcli
from kdcli.errors import SpecError
from kdcli.testing import check_loss, fake_context, toy_batch
from kdcli.types import DepthKind, Prediction, Tap


class Says(nn.Module):
    """A model that has its prediction, whatever it is shown."""

    depth_kind, depth_range = DepthKind.METRIC, (0.1, 10.0)
    taps: dict[str, Tap] = {}  # noqa: RUF012

    def __init__(self, depth: Tensor, probs: Tensor | None = None, centers: Tensor | None = None) -> None:
        super().__init__()
        self.said = Prediction(depth=depth, kind=DepthKind.METRIC, probs=probs, centers=centers)

    def forward(self, image: Tensor) -> Prediction:
        return self.said


def value(loss: Hinton, student: nn.Module, teacher: nn.Module, count: int) -> Tensor:
    batch = toy_batch(batch=count, dtype=torch.float64)
    ctx = fake_context(batch=batch, student=student, teachers=teacher)
    with torch.no_grad():
        loss.build(ctx)
    return loss.terms(ctx)["kl"]


def maps(seed: int, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 1 + 4 * torch.rand(count, 1, 5, 6, generator=generator, dtype=torch.float64)


def bins(seed: int, count: int, bins: int, centers: Tensor) -> Says:
    generator = torch.Generator().manual_seed(seed)
    probs = torch.randn(count, bins, 5, 6, generator=generator, dtype=torch.float64).softmax(1)
    shaped = centers.expand(count, -1)[..., None, None]
    return Says((probs * shaped).sum(1, keepdim=True), probs, centers)


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, Tensor]:
    file = np.load(shared / "golden" / "losses" / "rep_kd.npz")
    return {key: torch.from_numpy(np.asarray(file[key])) for key in file}


@pytest.mark.parametrize("temperature", [1, 4])
def test_the_authors_numbers_and_gradients(golden: dict[str, Tensor], temperature: int) -> None:
    student = golden["in.student_logits"].clone().requires_grad_()
    found = soft_kl(golden["in.teacher_logits"], student, temperature).mean()
    torch.testing.assert_close(found, golden[f"out.kd_T{temperature}"], rtol=1e-9, atol=0)
    (gradient,) = torch.autograd.grad(found, student)
    torch.testing.assert_close(gradient, golden[f"grad.kd_T{temperature}_wrt_student"], rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("temperature", [1, 4])
def test_the_authors_numbers_through_predictions_over_the_same_bins(
    golden: dict[str, Tensor], temperature: int
) -> None:
    centers = torch.linspace(0.5, 5, 10, dtype=torch.float64)
    depth = torch.ones(6, 1, 1, 1, dtype=torch.float64)
    models = [
        Says(depth, golden[f"in.{who}_logits"].softmax(1)[..., None, None], centers) for who in ("student", "teacher")
    ]
    found = value(Hinton(temperature=float(temperature)), models[0], models[1], 6)
    torch.testing.assert_close(found, golden[f"out.kd_T{temperature}"], rtol=1e-9, atol=0)


def test_a_number_added_to_all_logits_changes_nothing(golden: dict[str, Tensor]) -> None:
    student, teacher = golden["in.student_logits"], golden["in.teacher_logits"]
    torch.testing.assert_close(soft_kl(teacher - 2, student + 3, 4.0), soft_kl(teacher, student, 4.0))
    assert soft_kl(teacher, teacher, 4.0).abs().max() < 1e-12


def test_bells_over_bins_give_the_closed_form() -> None:
    teacher, student = torch.tensor(2.0, dtype=torch.float64), torch.tensor(2.3, dtype=torch.float64)
    grid = log_centers(0.1, 40.0, 600, like=teacher)
    for width in (0.1, 0.2):
        logs = [log_distribution(d.view(1, 1, 1, 1), grid, form="gaussian", width=width) for d in (teacher, student)]
        closed = (teacher.log() - student.log()).square() / (2 * width**2)
        torch.testing.assert_close(soft_kl(*logs).squeeze(), closed, rtol=1e-9, atol=0)
        torch.testing.assert_close(between_bells(teacher.log(), student.log(), width), closed)
    # As the reference has them: 1.125 at a difference of 1.5 and 2.0 at one of 2, width 1.
    numbers = between_bells(torch.zeros(2), torch.tensor([1.5, 2.0]), 1.0)
    assert numbers.tolist() == pytest.approx([1.125, 2.0])


def test_between_regressors_it_is_half_the_mean_square_of_log_depth_at_any_width() -> None:
    student, teacher = maps(1), maps(2)
    wanted = (student.log() - teacher.log()).square().mean() / 2
    for width in (0.05, 0.3):
        found = value(Hinton(width=width), Says(student), Says(teacher), 2)
        torch.testing.assert_close(found, wanted)


def test_pixels_of_which_the_teacher_knows_nothing_do_not_count() -> None:
    student, teacher = maps(1), maps(2)
    said = Says(teacher)
    valid = torch.zeros_like(teacher, dtype=torch.bool)
    valid[:, :, 1:3] = True
    said.said = replace(said.said, valid=valid)
    found = value(Hinton(), Says(student), said, 2)
    wanted = (student.log() - teacher.log())[valid].square().mean() / 2
    torch.testing.assert_close(found, wanted)


def test_a_bell_is_compared_over_the_students_own_bins() -> None:
    centers = log_centers(0.1, 10, 24, like=maps(0)).exp()
    student, teacher = bins(3, 2, 24, centers), maps(2)
    target = log_distribution(teacher, centers.log(), form="gaussian", width=0.3)
    probs = student.said.probs
    assert probs is not None
    wanted = (target.exp() * (target - probs.log())).sum(1).mean()
    torch.testing.assert_close(value(Hinton(width=0.3), student, Says(teacher), 2), wanted)


def test_a_two_hot_target_is_cross_entropy_less_its_own_entropy() -> None:
    centers = log_centers(0.1, 10, 24, like=maps(0)).exp()
    student = bins(3, 2, 24, centers)
    exact = centers[[7, 12]].view(2, 1, 1, 1).expand(2, 1, 5, 6)  # on centres: one-hot, without entropy
    probs = student.said.probs
    assert probs is not None
    wanted = -torch.stack([probs[0, 7], probs[1, 12]]).log().mean()
    found = value(Hinton(form="two-hot"), student, Says(exact.clone()), 2)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=0)  # tails of 1e-8


def test_a_regressor_learns_from_a_teachers_bins() -> None:
    centers = log_centers(0.1, 10, 24, like=maps(0)).exp()
    depth = maps(1).requires_grad_()
    found = value(Hinton(width=0.2), Says(depth), bins(3, 2, 24, centers), 2)
    (gradient,) = torch.autograd.grad(found, depth)
    assert gradient.abs().min() > 0


def test_other_bins_of_the_teacher_keep_the_mean_of_log_depth() -> None:
    own = torch.linspace(0.5, 8, 17, dtype=torch.float64).log()
    new = log_centers(0.1, 10, 33, like=own)
    probs = torch.rand(2, 17, 3, 4, dtype=torch.float64).softmax(1)
    moved = resample(probs, own, new)
    torch.testing.assert_close(moved.sum(1), torch.ones(2, 3, 4, dtype=torch.float64))
    means = [(p * c.view(1, -1, 1, 1)).sum(1) for p, c in ((probs, own), (moved, new))]
    torch.testing.assert_close(*means)
    assert torch.equal(resample(probs, own, own), probs)


def test_shares_between_uneven_centres_of_each_image() -> None:
    centers = torch.tensor([[0.0, 1.0, 4.0], [0.0, 2.0, 3.0]])
    shares = two_hot(torch.tensor([[1.75, -5.0, 9.0], [1.0, 2.0, 2.5]]), centers)
    wanted = [[[0, 1, 0], [0.75, 0, 0], [0.25, 0, 1]], [[0.5, 0, 0], [0.5, 1, 0.5], [0, 0, 0.5]]]
    assert shares.tolist() == wanted


def test_a_bell_over_uneven_bins_has_its_mean_where_it_is() -> None:
    centers = torch.linspace(0.5, 8, 200, dtype=torch.float64).log()
    depth = torch.full((1, 1, 1, 1), 2.0, dtype=torch.float64)
    probs = log_distribution(depth, centers, form="gaussian", width=0.1).exp()
    assert (probs.flatten() * centers).sum().item() == pytest.approx(math.log(2.0), abs=1e-4)


def test_a_teacher_without_bins_is_not_asked_where_its_depth_is_there() -> None:
    student, teacher = maps(1), maps(2)
    batch = toy_batch(dtype=torch.float64)
    ctx = fake_context(batch=batch, student=Says(student), teachers=Says(teacher))
    loss = Hinton()
    with torch.no_grad():
        loss.build(ctx)
    cached = fake_context(batch=batch, student=Says(student), teachers=Says(teacher))
    cached.teacher.taught = teacher
    torch.testing.assert_close(loss.terms(cached)["kl"].double(), loss.terms(ctx)["kl"], rtol=1e-5, atol=0)
    assert cached.teacher.passes == 0


@pytest.mark.parametrize(
    "options", [{}, {"temperature": 1.0}, {"form": "two-hot"}, {"width": 0.3, "bins": 16, "near": 0.5, "far": 8.0}]
)
def test_conforms(options: dict[str, object]) -> None:
    check_loss(Hinton, options=options)


@pytest.mark.parametrize(
    "options",
    [{"temperature": 0.0}, {"form": "one-hot"}, {"width": -1.0}, {"bins": 1}, {"near": 5.0, "far": 1.0}],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(SpecError, match=next(iter(options))):
        Hinton(**options)  # type: ignore[arg-type]


def test_the_recipes_student_has_bins() -> None:
    assert kdcli.configure("hinton").student == "mobilenet,head=bins"
