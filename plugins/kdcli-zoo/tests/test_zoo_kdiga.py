"""KDIGA: the authors' numbers, the linear model's closed form, statistics, robustness options."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from kdcli_zoo.kdiga import Kdiga, gradient_distance, input_gradient
from torch import Tensor, nn
from torch.nn import functional

import kdcli
from kdcli.errors import ConfigError, SpecError
from kdcli.testing import ToyDepth, check_loss, fake_context, toy_batch
from kdcli.types import Batch, DepthKind, Prediction


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, Tensor]:
    file = np.load(shared / "golden" / "losses" / "kdiga.npz")
    return {key: torch.from_numpy(np.asarray(file[key])) for key in file}


def net(x: Tensor, first: Tensor, second: Tensor) -> Tensor:
    return torch.tanh(x @ first.T) @ second.T


def test_it_gives_the_authors_numbers_and_gradients(golden: dict[str, Tensor]) -> None:
    weights = [golden[f"in.{name}"].clone().requires_grad_() for name in ("s_w1", "s_w2")]
    teacher = [golden["in.t_w1"], golden["in.t_w2"]]
    x, y = golden["in.x"].clone().requires_grad_(), golden["in.y"]
    said, wanted = net(x, *weights), net(x, *teacher)
    mine = input_gradient(functional.cross_entropy(said, y, reduction="sum"), x, keep=True)
    theirs = input_gradient(functional.cross_entropy(wanted, y, reduction="sum"), x)
    # The authors take the gradient of the batch's mean.
    assert torch.allclose(mine / 4, golden["out.student_input_grad"], rtol=1e-9, atol=0)
    assert torch.allclose(theirs / 4, golden["out.teacher_input_grad"], rtol=1e-9, atol=0)
    term = 0.5 * gradient_distance(mine, theirs, "batch")
    assert term.item() == pytest.approx(golden["out.gradient_term"].item(), rel=1e-9)
    # Their mean is over images and classes.
    kl = functional.kl_div(said.log_softmax(1), wanted.detach().softmax(1), reduction="sum") / said.numel()
    total = 0.5 * kl + 0.5 * functional.cross_entropy(said, y) + term
    assert total.item() == pytest.approx(golden["out.total"].item(), rel=1e-9)
    for name, gradient in zip(("s_w1", "s_w2"), torch.autograd.grad(total, weights), strict=True):
        want = golden[f"grad.total_wrt_{name}"]
        assert (gradient - want).abs().max() <= 1e-9 * want.abs().max()


class Linear(nn.Module):
    """Log depth of one pixel is a linear function of the image."""

    depth_kind, depth_range, taps = DepthKind.METRIC, (1e-3, 1e3), {}

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, image: Tensor) -> Prediction:
        depth = torch.einsum("bchw,chw->b", image, self.weight).exp()
        return Prediction(depth=depth.view(-1, 1, 1, 1), kind=self.depth_kind)


def linear_case(count: int = 3) -> tuple[Linear, Linear, Batch]:
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    batch = Batch(
        ids=tuple("abc"[:count]), image=drawn(3, 3, 4, 6)[:count], depth=(1 + drawn(3, 1, 1, 1))[:count],
        valid=torch.ones(count, 1, 1, 1, dtype=torch.bool),
    )
    return Linear(0.05 * drawn(3, 4, 6)), Linear(0.05 * drawn(3, 4, 6)), batch


def test_linear_models_give_the_closed_form() -> None:
    student, teacher, batch = linear_case()
    value = Kdiga(form="log-square").terms(fake_context(batch=batch, student=student, teachers=teacher))["kdiga"]
    assert batch.depth is not None
    # ctx.truth() is float32.
    wanted = batch.depth.float().double().log().view(-1, 1, 1, 1)
    errors = [net(batch.image).depth.log() - wanted for net in (student, teacher)]
    by_hand = (errors[0] * student.weight - errors[1] * teacher.weight).flatten(1).norm(dim=1).mean()
    assert value.item() == pytest.approx(by_hand.item(), rel=1e-9)


def test_an_image_counts_the_same_in_a_batch_of_any_size() -> None:
    student, teacher, batch = linear_case()
    loss = Kdiga()
    each = [
        loss.terms(fake_context(batch=batch.select(torch.tensor([i])), student=student, teachers=teacher))["kdiga"]
        for i in range(3)
    ]
    whole = loss.terms(fake_context(batch=batch, student=student, teachers=teacher))["kdiga"]
    assert whole.item() == pytest.approx(torch.stack(each).mean().item(), rel=1e-12)
    assert whole > 0


@pytest.mark.parametrize("norm", ["image", "batch"])
def test_equal_gradients_are_at_zero_and_their_gradient_is_no_nan(norm: str) -> None:
    mine = torch.rand(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    value = gradient_distance(mine, mine.detach().clone(), norm)  # type: ignore[arg-type]
    value.backward()
    assert value.item() == 0 and mine.grad is not None and not mine.grad.any()


def test_the_student_gets_a_gradient_and_the_teacher_none() -> None:
    student, teacher, batch = linear_case()
    ctx = fake_context(batch=batch, student=student, teachers=teacher)
    teacher.requires_grad_(True)
    Kdiga().terms(ctx)["kdiga"].backward()
    assert student.weight.grad is not None and torch.isfinite(student.weight.grad).all() and student.weight.grad.any()
    assert teacher.weight.grad is None


def test_the_student_s_statistics_are_the_batch_s_alone() -> None:
    student = ToyDepth(seed=1).train()
    ctx = fake_context(student=student, batch=toy_batch(size=(16, 16)))
    Kdiga().terms(ctx)["kdiga"].backward()
    norm = student.enc1[1]
    assert isinstance(norm, nn.BatchNorm2d) and norm.num_batches_tracked is not None
    assert norm.num_batches_tracked.item() == 1  # ctx.truth() asks for the student's size: the batch's own pass


def test_holes_of_the_ground_truth_do_not_count() -> None:
    batch = toy_batch(size=(16, 16))
    assert batch.depth is not None and batch.valid is not None
    other = replace(batch, depth=torch.where(batch.valid, batch.depth, 77.0))
    student = ToyDepth(seed=1).eval()
    values = [Kdiga().terms(fake_context(batch=one, student=student))["kdiga"] for one in (batch, other)]
    assert values[0].item() == values[1].item() > 0


def test_the_variant_without_labels_looks_at_none() -> None:
    labelled, bare = (toy_batch(size=(16, 16), labelled=known) for known in (True, False))
    student = ToyDepth(seed=1).eval()
    values = [
        Kdiga(form=form).terms(fake_context(batch=batch, student=student))["kdiga"].item()  # type: ignore[arg-type]
        for form in ("vjp", "log-square") for batch in (labelled, bare)
    ]
    assert values[0] == values[1] > 0 and values[2] > 0 and values[3] == 0
    assert not Kdiga(form="vjp").needs.ground_truth and Kdiga().needs.ground_truth


@pytest.mark.parametrize("options", [{}, {"form": "log-l1"}, {"form": "task"}, {"form": "vjp"}, {"norm": "batch"},
                                     {"noise": 0.03}], ids=str)
def test_it_conforms(options: dict[str, object]) -> None:
    check_loss(Kdiga, options=options)


@pytest.mark.parametrize("options", [{"form": "ce"}, {"norm": "pixel"}, {"noise": -0.1}, {"noise": float("nan")}])
def test_what_cannot_be_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(SpecError):
        Kdiga(**options)  # type: ignore[arg-type]


def test_a_student_without_a_second_derivative_is_refused_by_name(tmp_path: Path) -> None:
    config = kdcli.configure("kdiga", student="timm:mobilenetv3_small_050,pretrained=false", set=[
        "size=64x64", "batch_size=2", "steps=1", "data=sim:blocks,count=4"])
    with pytest.raises(ConfigError, match="Hardsigmoid"):
        kdcli.distill(config, out=tmp_path / "run")
