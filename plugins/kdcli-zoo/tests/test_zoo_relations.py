"""Similarity and relational KD: the authors' numbers, what they are blind to, blocks against the direct formula."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from kdcli_zoo import relational
from kdcli_zoo.relational import Relational, angles_apart, cosines, distances_apart, relative_distances
from kdcli_zoo.similarity import Similarity, alike, similarity
from torch import Tensor
from torch.nn import functional

from kdcli.errors import SpecError
from kdcli.testing import check_loss, fake_context, toy_batch


def read(shared: Path, name: str) -> dict[str, Tensor]:
    file = np.load(shared / "golden" / "losses" / f"{name}.npz")
    return {key: torch.from_numpy(np.asarray(file[key])) for key in file}


def agree(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9 * float(wanted.abs().max()))


def test_the_authors_similarity_and_gradient(shared: Path) -> None:
    golden = read(shared, "rep_features")
    student = golden["in.student_a"].clone().requires_grad_()
    found = similarity(student.flatten(1), golden["in.teacher_a"].flatten(1))
    agree(found, golden["out.sp"])
    agree(torch.autograd.grad(found, student)[0], golden["grad.sp_wrt_student"])


@pytest.mark.parametrize("case", ["distance", "angle", "25_50"])
@pytest.mark.parametrize("block", [relational.BLOCK, 150, 1])
def test_the_authors_relations_and_gradients(shared: Path, case: str, block: int) -> None:
    golden = read(shared, "rep_relational")
    student = golden["in.student"].clone().requires_grad_()
    terms = {
        "distance": lambda: distances_apart(student, golden["in.teacher"]),
        "angle": lambda: angles_apart(student, golden["in.teacher"], block=block),
    }
    found = 25 * terms["distance"]() + 50 * terms["angle"]() if case == "25_50" else terms[case]()
    agree(found, golden[f"out.rkd_{case}"])
    agree(torch.autograd.grad(found, student)[0], golden[f"grad.rkd_{case}_wrt_student"])


def rows(seed: int, count: int, channels: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(count, channels, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def turned(values: Tensor) -> Tensor:
    size = values.shape[1]
    turn, _ = torch.linalg.qr(rows(9, size, size))
    return values @ turn


def test_what_similarity_is_blind_to() -> None:
    student, teacher = rows(0, 12, 5), rows(1, 12, 7)
    wanted = similarity(student, teacher)
    for changed in (turned(student), 3.7 * student):
        torch.testing.assert_close(similarity(changed, teacher), wanted)
    assert similarity(student + 1, teacher) != wanted
    assert similarity(turned(student), 2 * student) < 1e-25


def test_what_relations_are_blind_to() -> None:
    student, teacher = rows(0, 12, 5), rows(1, 12, 7)
    for apart in (distances_apart, angles_apart):
        wanted = apart(student, teacher)
        for changed in (turned(student), 3.7 * student, student + 4):
            torch.testing.assert_close(apart(changed, teacher), wanted)
        assert apart(turned(student) + 1, 2 * student) < 1e-25
        assert apart(student.square(), teacher) != wanted


def test_rows_of_similarity_have_length_one_and_a_sample_of_nothing_has_none() -> None:
    values = rows(2, 4, 3)
    values[1] = 0
    lengths = alike(values).norm(dim=1)
    torch.testing.assert_close(lengths, torch.tensor([1.0, 0.0, 1.0, 1.0], dtype=torch.float64))


def direct(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the angle term as it is written, every volume at once."""
    found = []
    for values in (student, teacher):
        ways = functional.normalize(values[None] - values[:, None], dim=2)
        found.append((ways @ ways.transpose(1, 2)).flatten())
    return functional.smooth_l1_loss(found[0], found[1])


@pytest.mark.parametrize("block", [10**9, 40 * 40 * 40, 40 * 40 * 7, 1])
def test_blocks_of_angles_are_the_direct_formula(block: int) -> None:
    student, teacher = rows(0, 40, 6, torch.float32).requires_grad_(), rows(1, 40, 9, torch.float32)
    found, wanted = angles_apart(student, teacher, block=block), direct(student, teacher)
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=0)
    slopes = [torch.autograd.grad(value, student)[0] for value in (found, wanted)]
    torch.testing.assert_close(*slopes, rtol=1e-4, atol=1e-8)


def test_no_volume_is_larger_than_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    student, teacher, seen = rows(0, 30, 6), rows(1, 30, 9), []
    real = relational.cosines

    def watched(values: Tensor, at: Tensor) -> Tensor:
        found = real(values, at)
        seen.append(found.numel())
        return found

    monkeypatch.setattr(relational, "cosines", watched)
    angles_apart(student, teacher, block=30 * 30 * 4)
    assert max(seen) == 30 * 30 * 4 and sum(seen) == 2 * 30**3


def test_some_vertices_are_the_mean_over_these() -> None:
    student, teacher = rows(0, 10, 4), rows(1, 10, 5)
    at = torch.tensor([7, 2, 5])
    everywhere = [cosines(values, torch.arange(10))[at] for values in (student, teacher)]
    torch.testing.assert_close(angles_apart(student, teacher, at), functional.smooth_l1_loss(*everywhere))


def test_drawn_vertices_follow_the_generator_and_are_right_on_average() -> None:
    batch = toy_batch(batch=2)
    whole = Relational(grid=3).terms(fake_context(batch=batch))["angle"].item()
    drawn = [Relational(grid=3, anchors=6).terms(fake_context(batch=batch, seed=seed))["angle"].item()
             for seed in (*range(40), 0)]
    assert drawn[0] == drawn[-1] and drawn[0] != drawn[1]
    assert sum(drawn[:40]) / 40 == pytest.approx(whole, rel=0.1)


def test_samples_that_fall_together_give_finite_gradients() -> None:
    student, teacher = rows(0, 6, 4), rows(1, 6, 4)
    student[3] = student[1]
    student.requires_grad_()
    value = distances_apart(student, teacher) + angles_apart(student, teacher)
    (gradient,) = torch.autograd.grad(value, student)
    assert torch.isfinite(gradient).all() and gradient.abs().max() < 10
    flat = torch.zeros(6, 4, dtype=torch.float64, requires_grad=True)
    value = distances_apart(flat, teacher) + angles_apart(flat, teacher)
    (gradient,) = torch.autograd.grad(value, flat)
    assert torch.isfinite(value) and torch.isfinite(gradient).all()
    assert torch.equal(relative_distances(flat), torch.zeros(6, 6, dtype=torch.float64))


@pytest.mark.parametrize(
    "options",
    [{}, {"grid": 2}, {"grid": 1}, {"samples": "images"}, {"student_taps": "enc2|dec1", "teacher_taps": "a|b"}],
)
def test_similarity_conforms(options: dict[str, object]) -> None:
    check_loss(Similarity, options=options)


@pytest.mark.parametrize(
    "options",
    [{}, {"grid": 1}, {"anchors": 5}, {"angle": 0.0}, {"distance": 0.0},
     {"student_taps": "enc2|dec1", "teacher_taps": "a|b", "grid": 2}],
)
def test_relational_conforms(options: dict[str, object]) -> None:
    check_loss(Relational, options=options)


def test_options_that_make_no_sense_are_refused() -> None:
    for factory in (Similarity, Relational):
        with pytest.raises(SpecError, match="grid=0"):
            factory(grid=0)
    with pytest.raises(SpecError, match="samples=pixels"):
        Similarity(samples="pixels")  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="anchors=-1"):
        Relational(anchors=-1)
    with pytest.raises(SpecError, match="are no weights"):
        Relational(distance=0.0, angle=0.0)
