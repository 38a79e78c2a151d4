"""PKT-H: the authors' numbers, what the kernels do not see, and the weights over the critical period."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from kdcli_zoo.pkt_hetero import PktHetero, early_weight
from kdcli_zoo.shared.kernels import Divergence, Kernel, kernel_divergence
from torch import Tensor

from kdcli.errors import SpecError
from kdcli.testing import check_loss, fake_context, toy_batch

CASES: tuple[tuple[str, Kernel, Divergence], ...] = (
    ("combined", "combined", "jeffreys"), ("cosine_kl", "cosine", "kl"),
    ("student_t_jeffreys", "student-t", "jeffreys"), ("adaptive_rbf_kl", "adaptive-rbf", "kl"),
)


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, Tensor]:
    file = np.load(shared / "golden" / "losses" / "pkt_hetero.npz")
    return {key: torch.from_numpy(np.asarray(file[key])) for key in file}


def rows(count: int, channels: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, channels, generator=generator, dtype=torch.float64)


def near(value: Tensor, wanted: Tensor, rtol: float = 1e-9) -> None:
    torch.testing.assert_close(value, wanted, rtol=rtol, atol=rtol * float(wanted.detach().abs().max()))


@pytest.mark.parametrize(("case", "kernel", "divergence"), CASES)
def test_divergence_and_gradient_are_the_authors(
    golden: dict[str, Tensor], case: str, kernel: Kernel, divergence: Divergence
) -> None:
    student = golden["in.student"].clone().requires_grad_()
    value = kernel_divergence(student, golden["in.teacher"], kernel=kernel, divergence=divergence)
    near(value, golden[f"out.{case}"])
    near(torch.autograd.grad(value, student)[0], golden[f"grad.{case}_wrt_student"])


def test_weights_over_the_epochs_are_the_authors(golden: dict[str, Tensor]) -> None:
    weights = [early_weight(epoch / 50, 100.0, 0.7, 50) for epoch in range(50)]
    near(torch.tensor(weights[:5], dtype=torch.float64), golden["out.layer_weights_first_5_epochs"])
    assert weights[:2] == [100.0, 70.0] and weights[10] == pytest.approx(2.825, abs=5e-4)
    assert weights[12] > 1 > weights[13] and weights[49] == pytest.approx(2.6e-6, rel=0.02)


def test_an_epoch_is_a_share_of_the_stage() -> None:
    assert early_weight(0.0199, 100.0, 0.7, 50) == 100.0
    assert early_weight(0.58, 1.0, 0.5, 50) == 0.5**29
    assert early_weight(1.0, 8.0, 0.5, 3) == 1.0


def test_equal_features_are_no_way_apart_and_others_are() -> None:
    features = rows(12, 6, 0).requires_grad_()
    value = kernel_divergence(features, features.detach())
    assert value.item() == 0 and torch.isfinite(torch.autograd.grad(value, features)[0]).all()
    for seed in range(20):
        assert kernel_divergence(rows(8, 5, seed), rows(8, 3, seed + 100)) > 0


def test_rotation_and_joint_order_change_nothing_and_scale_does() -> None:
    student, teacher = rows(12, 6, 0), rows(12, 9, 1)
    plain = kernel_divergence(student, teacher)
    turn = torch.linalg.qr(rows(6, 6, 2)).Q
    near(kernel_divergence(student @ turn, teacher), plain)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(3))
    near(kernel_divergence(student[order], teacher[order]), plain)
    assert kernel_divergence(2 * student, student) > 1e-3
    assert kernel_divergence(2 * student, student, kernel="cosine") < 1e-9
    assert kernel_divergence(student + 3, student) > 1e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_opposite_and_empty_tokens_do(dtype: torch.dtype) -> None:
    one = torch.tensor([[30.0, 40.0], [-30.0, -40.0], [0.0, 0.0]], dtype=dtype).requires_grad_()
    value = kernel_divergence(one, rows(3, 4, 0).to(dtype))
    assert torch.isfinite(value) and torch.isfinite(torch.autograd.grad(value, one)[0]).all()


def test_earlier_layers_fade_and_the_last_one_stays() -> None:
    loss = PktHetero(student_taps="enc1|enc2|pre_head", teacher_taps="enc1|enc2|pre_head", grid=2)
    terms = []
    for progress in (0.0, 0.02, 0.5):
        ctx = fake_context(batch=toy_batch(batch=3), progress=progress)
        terms.append(loss.terms(ctx))
        assert ctx.notes["plugin.early_weight"] == pytest.approx(100 * 0.7 ** round(50 * progress))
    assert terms[0]["last"] == terms[1]["last"] == terms[2]["last"] > 0
    assert (terms[1]["early"] / terms[0]["early"]).item() == pytest.approx(0.7, rel=1e-5)
    assert terms[2]["early"] < 1e-3 * terms[0]["early"]


def test_a_single_pair_is_the_last_one() -> None:
    loss = PktHetero(student_taps="pre_head", teacher_taps="enc2")
    assert set(loss.terms(fake_context(batch=toy_batch(batch=2)))) == {"last"}


@pytest.mark.parametrize("options", [
    {}, {"student_taps": "pre_head", "teacher_taps": "pre_head", "grid": 1},
    {"student_taps": "enc1|dec1", "teacher_taps": "enc2|pre_head", "grid": 2, "epochs": 3},
    {"kernel": "adaptive-rbf", "divergence": "kl", "grid": 2},
], ids=str)
def test_it_conforms(options: dict[str, object]) -> None:
    check_loss(PktHetero, options=options)


@pytest.mark.slow
def test_it_conforms_to_the_networks_of_its_recipe() -> None:
    check_loss("pkt-hetero,grid=2", student="mobilenet,width=0.35", teachers="demo")


@pytest.mark.parametrize(("options", "told"), [
    ({"student_taps": "enc1|enc2", "teacher_taps": "enc1"}, "2 features of the student"),
    ({"student_taps": "enc1|", "teacher_taps": "enc1|enc2"}, "names no features"),
    ({"grid": 65}, "grid=65"), ({"early": -1.0}, "early=-1.0"), ({"early": math.inf}, "early=inf"),
    ({"decay": 1.5}, "decay=1.5"), ({"epochs": 0}, "epochs=0"),
])
def test_what_it_cannot_be_is_refused(options: dict[str, object], told: str) -> None:
    with pytest.raises(SpecError, match=told):
        PktHetero(**options)  # type: ignore[arg-type]


