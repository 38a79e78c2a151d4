"""Boosting: the authors' numbers, labelled and unlabelled images, and the paper's student."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from kdcli_zoo.boosting import Boosting, boosted
from torch import Tensor
from zoo_runs import small

import kdcli
from kdcli.errors import SpecError
from kdcli.testing import check_loss, fake_context, toy_batch
from kdcli.testing.guards import no_waiting
from kdcli.types import Batch

PUBLISHED: dict[str, Any] = {"zero_floor": False, "border": "zero"}
FLOOR = 3 * math.log(0.5)


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, Tensor]:
    file = np.load(shared / "golden" / "losses" / "hu_depth_gradient_normal.npz")
    return {key: torch.from_numpy(np.asarray(file[key])) for key in file}


def near(value: Tensor, wanted: Tensor, rtol: float = 1e-9) -> None:
    torch.testing.assert_close(value, wanted, rtol=rtol, atol=rtol * float(wanted.detach().abs().max()))


def test_the_loss_agrees_with_the_authors_code(golden: dict[str, Tensor]) -> None:
    prediction, truth = golden["in.pred"].clone().requires_grad_(), golden["in.gt"]
    everywhere, nowhere = torch.ones_like(truth, dtype=torch.bool), torch.zeros_like(truth, dtype=torch.bool)
    loss = Boosting(**PUBLISHED).loss
    for taught, labels, balance in (
        ((truth, everywhere), (truth, everywhere), 0.3), ((truth, everywhere), (truth, nowhere), 0.5),
        ((truth + 9, everywhere), (truth, everywhere), 0.0),
    ):
        value = torch.stack(list(boosted(loss, prediction, taught, labels, balance).values())).sum()
        near(value, golden["out.total"])
        near(torch.autograd.grad(value, prediction)[0], golden["grad.total_wrt_pred"])


def total(loss: Boosting, batch: Batch, **options: Any) -> Tensor:
    ctx = fake_context(batch=batch, **options)
    return torch.stack(list(loss.terms(ctx).values())).sum()


def test_where_models_agree_it_is_the_published_floor_or_nothing() -> None:
    depth = toy_batch(size=(16, 20)).depth
    assert depth is not None
    known = torch.ones_like(depth, dtype=torch.bool)
    parts = boosted(Boosting(**PUBLISHED).loss, depth, (depth, known), (depth, ~known), 0.5)
    assert parts["teacher"].item() == pytest.approx(FLOOR, abs=1e-5)
    none = boosted(Boosting().loss, depth, (depth, known), (depth, known), 0.5)
    assert none["teacher"].item() == pytest.approx(0, abs=1e-6)
    assert Boosting(balance=1.0, **PUBLISHED).value_at_equality == pytest.approx(FLOOR)
    assert Boosting(balance=1.0).value_at_equality == 0 and math.isnan(Boosting().value_at_equality)


def test_a_metre_too_far_costs_the_depth_term_and_leaks_only_where_the_border_is_zero() -> None:
    depth = toy_batch(size=(16, 20)).depth
    assert depth is not None
    known = torch.ones_like(depth, dtype=torch.bool)

    def loss(border: Any) -> float:
        made = Boosting(zero_floor=False, border=border)
        return float(boosted(made.loss, depth + 1, (depth, known), (depth, ~known), 0.5)["teacher"])

    assert loss("replicate") == pytest.approx(math.log(1.5) + 2 * math.log(0.5), abs=1e-4)
    assert loss("zero") > loss("replicate") + 0.3


def test_labels_of_unlabelled_images_are_never_looked_at() -> None:
    batch = replace(toy_batch(batch=3), labelled=torch.zeros(3, dtype=torch.bool))
    assert batch.depth is not None
    other = replace(batch, depth=batch.depth * 7 + 1)
    for balance in (0.0, 0.5):
        assert torch.equal(total(Boosting(balance=balance), batch), total(Boosting(balance=balance), other))
    some = replace(batch, labelled=torch.tensor([True, False, True]))
    assert some.depth is not None
    changed = some.depth.clone()
    changed[1] *= 5
    assert torch.equal(total(Boosting(), some), total(Boosting(), replace(some, depth=changed)))
    changed[0] *= 5
    assert not torch.equal(total(Boosting(), some), total(Boosting(), replace(some, depth=changed)))


def test_a_mixed_batch_is_the_mean_over_its_images_of_both_rules() -> None:
    batch = toy_batch(batch=3)
    mixed = replace(batch, labelled=torch.tensor([True, False, True]))
    loss = Boosting(balance=0.3)
    labelled = total(loss, batch.select(torch.tensor([0, 2])))
    bare = total(loss, replace(batch, labelled=torch.zeros(3, dtype=torch.bool)).select(torch.tensor([1])))
    near(total(loss, mixed), (2 * labelled + bare) / 3, 1e-4)


def test_balance_is_between_teacher_and_labels() -> None:
    batch = toy_batch()
    ends = [total(Boosting(balance=balance), batch) for balance in (0.0, 1.0)]
    near(total(Boosting(balance=0.25), batch), 0.75 * ends[0] + 0.25 * ends[1], 1e-5)
    ctx = fake_context(batch=batch)
    near(Boosting(balance=1.0).terms(ctx)["teacher"], Boosting().loss(ctx.student.out.depth, *ctx.target()), 1e-6)
    near(Boosting(balance=0.0).terms(ctx)["truth"], Boosting().loss(ctx.student.out.depth, *ctx.truth()), 1e-6)


def test_no_step_waits_for_the_device() -> None:
    ctx = fake_context(batch=replace(toy_batch(batch=3), labelled=torch.tensor([True, False, True])))
    with no_waiting():
        torch.stack(list(Boosting().terms(ctx).values())).sum().backward()


def test_the_papers_student_has_its_size() -> None:
    student = kdcli.build("student", "mff,backbone=mobilenet_v2")
    assert sum(p.numel() for p in student.parameters()) == 1_673_905


@pytest.mark.parametrize("options", [{}, {"balance": 1.0}, {"balance": 1.0, **PUBLISHED}, {"balance": 0.0}])
def test_conforms(options: dict[str, Any]) -> None:
    assert "training" in check_loss(Boosting, options=options).passed


@pytest.mark.parametrize(
    ("options", "message"),
    [({"balance": 1.5}, "balance=1.5 "), ({"balance": math.nan}, "balance=nan "), ({"alpha": 0.0}, "alpha=0 ")],
)
def test_values_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Boosting(**options)


def test_the_recipe_shows_half_of_each_and_takes_the_papers_student(tmp_path: Path) -> None:
    config = small("boosting", "run.export=none", "run.eval_data=none", student="mff,backbone=mobilenet_v2")
    result = kdcli.distill(config, out=tmp_path / "run")
    rows = [json.loads(row) for row in (result.run / "metrics.jsonl").read_text("utf-8").splitlines()]
    assert all(row["note/boosting.labelled"] == 0.5 for row in rows)
    assert rows and all({"term/boosting.teacher", "term/boosting.truth"} <= row.keys() for row in rows)
    assert all(0.1 < row["note/boosting.depth.unlabelled"] < 10 for row in rows)
