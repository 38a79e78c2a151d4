"""MT-PKDOT: the authors' numbers, what the similarities do not see, whom the batch chooses, and both stages."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from kdcli_zoo.mt_pkdot import MtPkdot, best, centroid_distance, kept_columns, similarities, transport
from kdcli_zoo.mt_pkdot_teachers import cell_depth
from kdcli_zoo.shared.tokens import tokens
from kdcli_zoo.shared.transport import sinkhorn_divergence
from torch import Tensor, nn

from kdcli.errors import SpecError
from kdcli.testing import ToyDepth, check_loss, fake_context, toy_batch
from kdcli.types import DepthKind, Prediction, Tap

KEPT = 12
"""Columns of the authors' case."""


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, Tensor]:
    file = np.load(shared / "golden" / "losses" / "mt_pkdot.npz")
    return {key: torch.from_numpy(np.asarray(file[key])) for key in file}


def near(value: Tensor, wanted: Tensor, rtol: float = 1e-9) -> None:
    torch.testing.assert_close(value, wanted, rtol=rtol, atol=rtol * float(wanted.detach().abs().max()))


def rows(count: int, channels: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, channels, generator=generator, dtype=torch.float64)


def test_similarities_are_the_authors(golden: dict[str, Tensor]) -> None:
    for who in ("teacher", "student"):
        wanted = golden[f"out.sim_{who}"]
        near(similarities(golden[f"in.{who}"]), wanted - wanted.min())


def test_kept_columns_are_the_authors_in_order(golden: dict[str, Tensor]) -> None:
    index = similarities(golden["in.teacher"]).topk(KEPT, dim=1, largest=False, sorted=True).indices
    assert torch.equal(index, golden["out.idx_sorted"].long())


def test_transport_and_its_gradient_are_the_authors(golden: dict[str, Tensor]) -> None:
    student = golden["in.student"].clone().requires_grad_()
    value = transport(student, golden["in.teacher"], KEPT)
    near(value, golden["out.sinkhorn_sorted_order"])
    near(torch.autograd.grad(value, student)[0], golden["grad.sinkhorn_sorted_order_wrt_student"])


@pytest.mark.parametrize("order", ["released", "shuffled"])
def test_other_orders_of_the_kept_columns_give_the_authors_other_numbers(
    golden: dict[str, Tensor], order: str
) -> None:
    student, index = golden["in.student"].clone().requires_grad_(), golden[f"out.idx_{order}"].long()
    theirs = similarities(golden["in.teacher"]).gather(1, index)
    value = sinkhorn_divergence(similarities(student).gather(1, index), theirs)
    near(value, golden[f"out.sinkhorn_{order}_order"])
    near(torch.autograd.grad(value, student)[0], golden[f"grad.sinkhorn_{order}_order_wrt_student"])


def test_full_matrices_and_centroid_are_the_authors(golden: dict[str, Tensor]) -> None:
    student = golden["in.student"].clone().requires_grad_()
    value = sinkhorn_divergence(similarities(student), similarities(golden["in.teacher"]))
    near(value, golden["out.sinkhorn_full_matrices"])
    near(torch.autograd.grad(value, student)[0], golden["grad.sinkhorn_full_matrices_wrt_student"])
    middle = centroid_distance(student, golden["in.teacher"])
    near(middle, golden["out.centroid"])
    near(torch.autograd.grad(middle, student)[0], golden["grad.centroid_wrt_student"])


def test_converged_transport_is_a_little_less(golden: dict[str, Tensor]) -> None:
    value = transport(golden["in.student"], golden["in.teacher"], KEPT, steps=200)
    assert value.item() == pytest.approx(2.04902, abs=5e-6)
    assert value < golden["out.sinkhorn_sorted_order"]


def test_equal_relations_are_no_way_apart() -> None:
    features = rows(20, 6, 0).requires_grad_()
    value = transport(features, features.detach(), 5) + centroid_distance(features, features.detach())
    assert abs(value.item()) < 1e-12
    assert torch.isfinite(torch.autograd.grad(value, features)[0]).all()
    matrix = similarities(features.detach())
    assert sinkhorn_divergence(matrix, matrix, debias=False).abs() > 1e-3


def test_scale_rotation_and_order_of_the_images_change_nothing() -> None:
    student, teacher = rows(24, 6, 0), rows(24, 9, 1)
    plain = transport(student, teacher, 6)
    turn = torch.linalg.qr(rows(6, 6, 2)).Q
    near(transport(3 * student @ turn, 0.2 * teacher, 6), plain)
    order = torch.randperm(24, generator=torch.Generator().manual_seed(3))
    near(transport(student[order], teacher[order], 6), plain)
    assert transport(teacher[order], teacher, 6) > 0.1
    assert transport(student, teacher, 6) > 0.1


def test_the_rows_of_a_full_matrix_have_no_order() -> None:
    matrix, order = similarities(rows(15, 6, 0)), torch.randperm(15, generator=torch.Generator().manual_seed(1))
    assert abs(sinkhorn_divergence(matrix[order], matrix).item()) < 1e-12
    assert sinkhorn_divergence(matrix[order][:, order], matrix) >= -1e-12


def test_columns_are_fewer_than_tokens() -> None:
    assert [kept_columns(count, 30 / 128) for count in (2, 3, 8, 64, 128, 144)] == [1, 1, 2, 15, 30, 34]
    assert kept_columns(4, 0.99) == 3


def test_the_least_error_is_chosen_and_the_first_of_equal_ones() -> None:
    yes, no = torch.tensor(True), torch.tensor(False)
    assert best(torch.tensor([0.3, 0.1, 0.2]), yes) == 1
    assert best(torch.tensor([0.2, 0.1, 0.1]), yes) == 1
    assert best(torch.tensor([math.nan, 0.4]), yes) == 1
    assert best(torch.tensor([0.3, 0.1]), no) == 0


class Knows(nn.Module):
    """A teacher whose depth is the ground truth times a factor; its features are those of a toy."""

    depth_kind, depth_range = DepthKind.METRIC, (0.5, 8.0)

    def __init__(self, truth: Tensor, factor: float, seed: int) -> None:
        super().__init__()
        self.truth, self.factor, self.toy = truth, factor, ToyDepth(seed=seed)
        self.taps: dict[str, Tap] = self.toy.taps

    def get_submodule(self, target: str) -> nn.Module:
        return self.toy.get_submodule(target) if target else self

    def forward(self, image: Tensor) -> Prediction:
        return replace(self.toy(image), depth=self.truth[: len(image)] * self.factor)


@pytest.mark.parametrize("exact", [0, 1, 2])
def test_a_teacher_without_error_is_always_chosen(exact: int) -> None:
    batch = toy_batch(batch=3)
    assert batch.depth is not None
    factors = [1.0 if i == exact else 1.1 + i for i in range(3)]
    teachers = {f"t{i}": Knows(batch.depth, factor, 5 + i) for i, factor in enumerate(factors)}
    ctx = fake_context(batch=batch, teachers=teachers)
    loss = MtPkdot(judge="output", grid=2)
    with torch.no_grad():
        loss.build(ctx)
    chosen = loss.terms(ctx)["transport"]
    assert ctx.notes["plugin.teacher"] == exact
    made = loss.teachers
    assert made is not None
    theirs = made.adapted([tokens(view.feat("pre_head"), 2) for view in ctx.teachers.values()])[exact]
    wanted = transport(tokens(ctx.student.feat("pre_head"), 2), theirs.detach(), kept_columns(12, 30 / 128))
    torch.testing.assert_close(chosen, wanted, rtol=1e-4, atol=1e-6)


def test_by_default_heads_are_judged_not_the_teachers() -> None:
    batch = toy_batch(batch=3)
    assert batch.depth is not None
    ctx = fake_context(batch=batch, teachers={f"t{i}": Knows(batch.depth, 1.0 + i, 5 + i) for i in range(2)})
    loss = MtPkdot(grid=2)
    with torch.no_grad():
        loss.build(ctx)
    made = loss.teachers
    assert made is not None
    for right in (0, 1):
        for number, head in enumerate(made.heads):
            assert isinstance(head, nn.Linear)
            nn.init.zeros_(head.weight)
            nn.init.constant_(head.bias, 0.5 if number == right else 6.0)  # about 3 m, and the far end
        loss.terms(ctx)
        assert ctx.notes["plugin.teacher"] == right


def test_the_transfer_goes_on_with_what_the_alignment_made() -> None:
    ctx = fake_context(batch=toy_batch(batch=3), teachers=3)
    stages = [MtPkdot(phase=phase, grid=2) for phase in ("align", "transfer")]  # type: ignore[arg-type]
    for loss in stages:
        with torch.no_grad():
            loss.build(ctx)
    first, second = (loss.terms(ctx) for loss in stages)
    assert set(first) == {"align", "heads"} and set(second) == {"transport"}
    stages[1].load_state_dict(stages[0].state_dict(), strict=True)
    assert len(stages[0].state_dict()) == 2 * (2 * 2 + 3)


def test_a_transfer_says_how_often_its_heads_were_taught() -> None:
    ctx = fake_context(batch=toy_batch(batch=3), teachers=2)
    told = []
    for phase in ("transfer", "align", "align", "transfer"):
        loss = MtPkdot(phase=phase, grid=2)  # type: ignore[arg-type]
        with torch.no_grad():
            loss.build(ctx)
        loss.terms(ctx)
        told.append(ctx.notes.get("plugin.aligned"))
    assert told[0] == 0 and told[-1] == 2


def test_without_labels_the_first_one_is_chosen() -> None:
    batch = replace(toy_batch(batch=3), depth=None, valid=None, labelled=torch.zeros(3, dtype=torch.bool))
    ctx = fake_context(batch=batch, teachers=3)
    loss = MtPkdot(grid=2)
    with torch.no_grad():
        loss.build(ctx)
    loss.terms(ctx)
    assert ctx.notes["plugin.teacher"] == 0


def test_the_alignment_learns_and_leaves_student_and_teachers_alone() -> None:
    ctx = fake_context(batch=toy_batch(batch=4), teachers=3)
    loss = MtPkdot(phase="align", grid=2)
    torch.manual_seed(0)
    with torch.no_grad():
        loss.build(ctx)
    optimizer = torch.optim.Adam(loss.parameters(), lr=5e-3)
    values = []
    for _ in range(200):
        terms = loss.terms(ctx)
        optimizer.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()
        values.append({name: value.item() for name, value in terms.items()})
    assert values[-1]["align"] < 0.2 * values[0]["align"]
    assert values[-1]["heads"] < 0.5 * values[0]["heads"]
    frozen = [ctx.student.model, *(view.model for view in ctx.teachers.values())]
    assert all(p.grad is None for model in frozen for p in model.parameters())


def test_the_transfer_does_not_move_adapters_and_heads() -> None:
    ctx = fake_context(batch=toy_batch(batch=3), teachers=2)
    loss = MtPkdot(grid=2)
    with torch.no_grad():
        loss.build(ctx)
    assert list(loss.parameters()) and not any(p.requires_grad for p in loss.parameters())
    loss.terms(ctx)["transport"].backward()
    assert any(p.grad is not None for p in ctx.student.model.parameters())


def test_the_terms_of_the_alignment_are_those_of_the_paper() -> None:
    ctx = fake_context(batch=toy_batch(batch=2, dtype=torch.float64), teachers=3, dtype=torch.float64)
    loss = MtPkdot(phase="align", grid=2)
    with torch.no_grad():
        loss.build(ctx)
    loss.double()
    made = loss.teachers
    assert made is not None
    terms = loss.terms(ctx)
    embedded = loss._embedded(ctx)
    cosines = [nn.functional.cosine_similarity(one, embedded[0]) for one in embedded[1:]]
    near(terms["align"], 0.5 * sum((1 - c).mean() for c in cosines), rtol=1e-6)  # type: ignore[arg-type]
    depth, known = cell_depth(*ctx.truth(), 2)
    assert known.all()
    first, second, third = [(one - depth).abs().mean() for one in made.depths(embedded)]
    near(terms["heads"], 0.5 * (first + 0.5 * second + 0.5 * third), rtol=1e-6)


def test_a_cell_is_the_mean_of_what_is_known_of_it() -> None:
    depth = torch.tensor([[[[1.0, math.e], [5.0, 7.0]]]], dtype=torch.float64)
    valid = torch.tensor([[[[True, True], [False, False]]]])
    logs, known = cell_depth(depth, valid, 1)
    assert logs.item() == pytest.approx(0.5) and known.item()
    logs, known = cell_depth(depth, torch.zeros_like(valid), 1)
    assert logs.item() == 0 and not known.item()


@pytest.mark.parametrize("options", [
    {}, {"judge": "output", "grid": 1}, {"centroid": True, "grid": 2}, {"phase": "align", "grid": 2},
    {"blur": 10.0, "steps": 3, "keep": 0.5, "student_tap": "enc2", "teacher_tap": "enc1", "grid": 2},
], ids=str)
def test_it_conforms(options: dict[str, object]) -> None:
    check_loss(MtPkdot, options=options)


def test_it_conforms_with_several_teachers() -> None:
    teachers = {f"t{i}": ToyDepth(seed=2 + i) for i in range(3)}
    check_loss(MtPkdot, options={"grid": 2}, student=ToyDepth(seed=1), teachers=teachers)


@pytest.mark.parametrize(("options", "told"), [
    ({"grid": 0}, "grid=0"), ({"keep": 1.0}, "keep=1.0"), ({"keep": 0.0}, "keep=0.0"), ({"blur": -1.0}, "blur=-1.0"),
    ({"scaling": 0.0}, "scaling=0.0"), ({"steps": -3}, "steps=-3"),
])
def test_what_it_cannot_be_is_refused(options: dict[str, float], told: str) -> None:
    with pytest.raises(SpecError, match=told):
        MtPkdot(**options)  # type: ignore[arg-type]
