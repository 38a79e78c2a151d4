"""Comparative distillation: the authors' numbers, all pairs against brute force, offsets and scales, earlier images."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations, permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from kdcli_zoo.comparative import Comparative
from kdcli_zoo.comparative_groups import drawn_loss, group_loss, pair_loss
from torch import Tensor, nn
from zoo_runs import small

import kdcli
from kdcli.errors import SpecError
from kdcli.testing import check_loss, fake_context, toy_batch
from kdcli.types import Batch, DepthKind, Prediction, Tap


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, Tensor]:
    file = np.load(shared / "golden" / "losses" / "ckd.npz")
    return {key: torch.from_numpy(np.asarray(file[key])) for key in file}


def near(value: Tensor, wanted: Tensor, rtol: float = 1e-9) -> None:
    torch.testing.assert_close(value, wanted, rtol=rtol, atol=rtol * float(wanted.detach().abs().max()))


def draws(count: int, entries: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, entries, generator=generator, dtype=torch.float64)


class Says(nn.Module):
    """A model that has its depth, whatever it is shown."""

    depth_kind, depth_range = DepthKind.METRIC, (0.1, 100.0)
    taps: dict[str, Tap] = {}  # noqa: RUF012

    def __init__(self, depth: Tensor) -> None:
        super().__init__()
        self.depth = depth

    def forward(self, image: Tensor) -> Prediction:
        return Prediction(depth=self.depth, kind=DepthKind.METRIC)


def batch_of(count: int, labels: bool = False) -> Batch:
    batch = toy_batch(batch=count, size=(8, 12), dtype=torch.float64)
    return batch if labels else replace(batch, depth=None, valid=None)


def terms(student: Tensor, teacher: Tensor, loss: Comparative) -> dict[str, Tensor]:
    ctx = fake_context(batch=batch_of(len(student)), student=Says(student), teachers=Says(teacher))
    return dict(loss.terms(ctx))


def maps(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 1 + 4 * torch.rand(count, 1, 8, 12, generator=generator, dtype=torch.float64)


def test_loss_and_gradients_are_the_authors(golden: dict[str, Tensor]) -> None:
    positive = golden["in.student_pos"].clone().requires_grad_()
    negative = golden["in.student_neg"].clone().requires_grad_()
    relational = group_loss(positive, negative, golden["in.teacher_pos_mean"] - golden["in.teacher_neg_mean"])
    label = group_loss(positive, negative, golden["in.label_pos"] - golden["in.label_neg"])
    near(relational, golden["out.relational_term"])
    near(label, golden["out.label_term"])
    near(relational + label, golden["out.total"])
    gradients = torch.autograd.grad(relational + label, (positive, negative))
    for gradient, name in zip(gradients, ("pos", "neg"), strict=True):
        near(gradient, golden[f"grad.total_wrt_student_{name}"])


def test_all_pairs_are_the_closed_form_and_brute_force() -> None:
    errors = draws(6, 5).requires_grad_()
    known = torch.ones_like(errors, dtype=torch.bool)
    value = pair_loss(errors, known)
    pairs = [(errors[i] - errors[j]).square().mean() for i, j in permutations(range(6), 2)]
    near(value, torch.stack(pairs).mean())
    closed = 2 * (errors.square().mean(0) - errors.mean(0).square()).mean()
    near(value, closed * 6 / 5)
    every = [(errors[i] - errors[j]).square().mean() for i in range(6) for j in range(6)]
    near(closed, torch.stack(every).mean())
    wanted = torch.autograd.grad(torch.stack(pairs).mean(), errors)[0]
    near(torch.autograd.grad(pair_loss(errors, known), errors)[0], wanted)


def test_larger_groups_only_weigh_less() -> None:
    errors = draws(5, 4)
    pairs = pair_loss(errors, torch.ones_like(errors, dtype=torch.bool))
    triples = [
        group_loss(errors[list(two)][None], errors[[one]][None])
        for two in combinations(range(5), 2) for one in range(5) if one not in two
    ]
    near(torch.stack(triples).mean(), pairs * 1.5 / 2)


def test_holes_count_pair_by_pair() -> None:
    errors, earlier = draws(4, 7).requires_grad_(), draws(3, 7, 1)
    generator = torch.Generator().manual_seed(2)
    known, told = (torch.rand(count, 7, generator=generator) > 0.4 for count in (4, 3))
    both, marks = torch.cat([errors, earlier]), torch.cat([known, told])
    entries = [
        (both[i, d] - both[j, d]).square()
        for d in range(7) for i in range(4) for j in range(7) if i != j and marks[i, d] and marks[j, d]
    ]
    value = pair_loss(errors, known, earlier, told)
    near(value, torch.stack(entries).mean())
    wanted = torch.autograd.grad(torch.stack(entries).mean(), errors)[0]
    near(torch.autograd.grad(value, errors)[0], wanted)


def test_one_image_or_nothing_known_is_nothing() -> None:
    alone = draws(1, 3).requires_grad_()
    for errors, known in ((alone, True), (draws(4, 3).requires_grad_(), False)):
        value = pair_loss(errors, torch.full_like(errors, known, dtype=torch.bool))
        assert value.item() == 0 and torch.autograd.grad(value, errors)[0].abs().max() == 0
    assert Comparative().needs.min_batch == 2 and Comparative(draw=5, group="two-to-one").needs.min_batch == 3


def test_large_common_errors_do_not_cancel() -> None:
    errors = draws(6, 5).float()
    known = torch.ones_like(errors, dtype=torch.bool)
    near(pair_loss(errors + 1000, known), pair_loss(errors, known), rtol=1e-3)


@pytest.mark.parametrize("sizes", [(1, 1), (2, 1)])
def test_drawn_groups_come_to_the_mean_over_all(sizes: tuple[int, int]) -> None:
    errors = draws(7, 6)
    known = torch.ones_like(errors, dtype=torch.bool)
    known[2, 3] = False
    found = drawn_loss(errors, known, sizes, 60_000, torch.Generator().manual_seed(0))
    factor = (1 / sizes[0] + 1 / sizes[1]) / 2
    assert found.item() == pytest.approx(pair_loss(errors, known).item() * factor, rel=0.02)
    again = drawn_loss(errors, known, sizes, 60_000, torch.Generator().manual_seed(0))
    assert torch.equal(found, again)


@pytest.mark.parametrize("on", ["depth", "pooled"])
def test_a_common_offset_map_costs_nothing_and_another_one_does(on: str) -> None:
    student, teacher, offset = maps(4, 0), maps(4, 1), 0.3 * maps(1, 2)
    loss = Comparative(on=on, labels=False, grid=2)  # type: ignore[arg-type]
    plain = terms(student, teacher, loss)["relational"]
    near(terms(student * offset.exp(), teacher, loss)["relational"], plain)
    assert (terms(student * maps(4, 3), teacher, loss)["relational"] - plain).abs() > 0.01


@pytest.mark.parametrize("on", ["depth", "pooled"])
def test_a_factor_costs_nothing_in_logarithms_but_in_metres(on: str) -> None:
    teacher = maps(4, 1)
    found = {
        space: terms(1.7 * teacher, teacher, Comparative(on=on, labels=False, space=space))["relational"]  # type: ignore[arg-type]
        for space in ("log", "linear")
    }
    assert found["log"] < 1e-20 and found["linear"] > 0.01


def test_depth_is_the_mean_over_pairs_and_pixels() -> None:
    student, teacher = maps(3, 0), maps(3, 1)
    errors = student.log() - teacher.log()
    wanted = torch.stack([(errors[i] - errors[j]).square().mean() for i, j in permutations(range(3), 2)]).mean()
    near(terms(student, teacher, Comparative(on="depth", labels=False))["relational"], wanted, rtol=1e-6)


def test_labels_are_compared_where_there_are_any() -> None:
    batch = batch_of(4, labels=True)
    assert batch.depth is not None
    teacher = maps(4, 1)
    for student, zero in ((batch.depth, True), (maps(4, 0), False)):
        ctx = fake_context(batch=batch, student=Says(student), teachers=Says(teacher))
        label = Comparative(grid=2).terms(ctx)["label"]
        assert (abs(label.item()) < 1e-12) is zero
    assert terms(maps(4, 0), teacher, Comparative())["label"].item() == 0
    assert set(terms(maps(4, 0), teacher, Comparative(labels=False))) == {"relational"}


def fed(loss: Comparative, states: list[tuple[Tensor, Tensor]]) -> list[Tensor]:
    """Return the relational term of batches that follow one another."""
    ctx = fake_context(batch=batch_of(2), student=Says(states[0][0]), teachers=Says(states[0][1]))
    found = []
    for student, teacher in states:
        now = fake_context(batch=batch_of(2), student=Says(student), teachers=Says(teacher))
        now.state = ctx.state
        found.append(loss.terms(now)["relational"])
    return found


def cells(depth: Tensor) -> Tensor:
    return nn.functional.adaptive_avg_pool2d(depth.log(), 2).flatten(1)


def test_earlier_images_are_compared_with_as_they_were_and_forgotten() -> None:
    batches = [(maps(2, 10 + i).requires_grad_(), maps(2, 20 + i)) for i in range(4)]
    values = fed(Comparative(labels=False, grid=2, memory=4), batches)
    errors = [cells(student) - cells(teacher) for student, teacher in batches]
    everything = torch.ones(2, 4, dtype=torch.bool)
    near(values[0], pair_loss(errors[0], everything), rtol=1e-6)
    kept = torch.cat([errors[2], errors[1]]).detach()
    wanted = pair_loss(errors[3], everything, kept, torch.ones(4, 4, dtype=torch.bool))
    near(values[3], wanted, rtol=1e-6)
    student = [at for at, _ in batches]
    gradients = torch.autograd.grad(values[3], student, allow_unused=True)
    assert [g is None for g in gradients] == [True, True, True, False]


def test_what_is_not_finite_is_not_remembered() -> None:
    broken = maps(2, 0)
    broken[0] = torch.nan
    loss = Comparative(labels=False, grid=2, memory=8)
    first, second = fed(loss, [(broken, maps(2, 1)), (maps(2, 2), maps(2, 3))])
    assert torch.isnan(first) and torch.isfinite(second)


def asked(loss: Comparative) -> Callable[[], int]:
    ctx = fake_context(batch=toy_batch(batch=3))
    with torch.no_grad():
        loss.build(ctx)
    loss.terms(ctx)
    return lambda: ctx.teacher.passes


@pytest.mark.parametrize(("on", "looks"), [("depth", False), ("pooled", False), ("feature", True)])
def test_only_features_are_looked_up_in_the_teacher(on: str, looks: bool) -> None:
    loss = Comparative(on=on)  # type: ignore[arg-type]
    assert bool(loss.needs.teacher_taps) is looks and asked(loss)() == 1


def test_its_recipe_asks_the_teacher_once_for_each_image(tmp_path: Path) -> None:
    config = small(
        "comparative", "export=none", "run.eval_data=none", "distill.data=sim:blocks,count=4",
        student="mobilenet,width=0.35",
    )
    manifest = json.loads((kdcli.distill(config, out=tmp_path / "run").run / "manifest.json").read_text("utf-8"))
    asked_for = manifest["teacher_cache"]["student.distill"]
    assert (asked_for["images"], asked_for["made"]) == (4, 4)


@pytest.mark.parametrize("options", [
    {}, {"labels": False}, {"on": "depth"}, {"on": "feature", "grid": 2, "student_tap": "enc2"}, {"memory": 5},
    {"draw": 8, "group": "two-to-one", "memory": 3, "grid": 2}, {"space": "linear", "on": "depth", "labels": False},
], ids=str)
def test_it_conforms(options: dict[str, object]) -> None:
    check_loss(Comparative, options=options)


@pytest.mark.parametrize(("options", "told"), [
    ({"grid": 0}, "grid=0"), ({"memory": -1}, "memory=-1"), ({"draw": -1}, "draw=-1"),
    ({"on": "depth", "memory": 4}, "whole maps"),
])
def test_what_it_cannot_be_is_refused(options: dict[str, object], told: str) -> None:
    with pytest.raises(SpecError, match=told):
        Comparative(**options)  # type: ignore[arg-type]
