"""Attention: the authors' numbers, what it is blind to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from kdcli_zoo.attention import Attention, attention, looks
from torch import Tensor

from kdcli.errors import SpecError
from kdcli.testing import check_loss, fake_context

CASES = {
    "at_same_size": ("student_a", "teacher_a"),
    "at_teacher_smaller": ("student_a", "teacher_small"),
    "at_student_smaller": ("student_b", "teacher_a"),
}


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, Tensor]:
    file = np.load(shared / "golden" / "losses" / "rep_features.npz")
    return {key: torch.from_numpy(np.asarray(file[key])) for key in file}


@pytest.mark.parametrize("case", CASES)
def test_the_authors_numbers_and_gradients(golden: dict[str, Tensor], case: str) -> None:
    student, teacher = (golden[f"in.{name}"] for name in CASES[case])
    student = student.clone().requires_grad_()
    found = attention(student, teacher)
    torch.testing.assert_close(found, golden[f"out.{case}"], rtol=1e-9, atol=0)
    wanted = golden[f"grad.{case}_wrt_student"]
    (gradient,) = torch.autograd.grad(found, student)
    torch.testing.assert_close(gradient, wanted, rtol=1e-9, atol=1e-9 * float(wanted.abs().max()))


def features() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    shapes = ((2, 6, 8, 12), (2, 9, 4, 6))
    student, teacher = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)
    return student, teacher


@pytest.mark.parametrize("grid", [0, 2, 3])
def test_a_factor_an_order_and_a_rotation_of_channels_change_nothing(grid: int) -> None:
    student, teacher = features()
    turn, _ = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(4)))
    wanted = attention(student, teacher, grid)
    for changed in (3.7 * student, student[:, [3, 0, 5, 1, 2, 4]], torch.einsum("cd,bdhw->bchw", turn, student)):
        torch.testing.assert_close(attention(changed, teacher, grid), wanted)
    assert attention(student.flip(3), teacher, grid) != wanted


def test_looks_have_length_one_and_nothing_looks_nowhere() -> None:
    student, _ = features()
    torch.testing.assert_close(looks(student).norm(dim=1), torch.ones(2, dtype=torch.float64))
    dark = torch.zeros(1, 3, 4, 4, requires_grad=True)
    value = attention(dark, torch.randn(1, 3, 4, 4))
    (gradient,) = torch.autograd.grad(value, dark)
    assert torch.isfinite(value) and torch.equal(gradient, torch.zeros_like(dark))


def test_a_grid_makes_it_independent_of_the_size_of_the_images() -> None:
    student = features()[0]
    teacher = torch.randn(2, 9, 8, 12, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    larger = [feature.repeat_interleave(2, 2).repeat_interleave(2, 3) for feature in (student, teacher)]
    torch.testing.assert_close(attention(*larger, grid=2), attention(student, teacher, 2))
    assert attention(*larger) < 0.5 * attention(student, teacher)


def test_features_are_summed() -> None:
    ctx = fake_context()
    loss = Attention(student_taps="enc1|enc2", teacher_taps="enc1|enc2")
    pairs = [(ctx.student.feat(tap), ctx.teacher.feat(tap)) for tap in ("enc1", "enc2")]
    torch.testing.assert_close(loss.terms(ctx)["attention"], attention(*pairs[0]) + attention(*pairs[1]))


@pytest.mark.parametrize("options", [{}, {"grid": 4}, {"student_taps": "enc2|dec1", "teacher_taps": "enc3|pre_head"}])
def test_conforms(options: dict[str, object]) -> None:
    check_loss(Attention, options=options)


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(SpecError, match="grid=65"):
        Attention(grid=65)
    with pytest.raises(SpecError, match="give as many of each"):
        Attention(student_taps="enc1")
