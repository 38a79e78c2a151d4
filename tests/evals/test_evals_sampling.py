"""A map enlarged at a few places alone is what it is when all of it is enlarged."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from evals_doubles import Answers, ListSource
from torch.nn.functional import interpolate

from kdcli.evals import predict, sampling
from kdcli.evals.protocol import Protocol
from kdcli.evals.runner import evaluate
from kdcli.evals.sampling import bilinear_at, bilinear_within, is_few, whole_factors
from kdcli.types import Sample

RULES = Protocol(name="sparse", resize="bilinear", max_depth=80.0)


@pytest.mark.parametrize(("before", "after"), [
    ((187, 621), (375, 1242)), ((240, 320), (480, 640)), ((30, 40), (31, 47)), ((1, 1), (5, 7)), ((7, 1), (7, 9)),
])
def test_it_is_torchs_enlargement_at_these_places(before: tuple[int, int], after: tuple[int, int]) -> None:
    small = torch.rand(1, 1, *before, generator=torch.Generator().manual_seed(1)) * 79 + 1
    whole = interpolate(small, after, mode="bilinear", align_corners=False).reshape(-1).numpy()
    places = np.flatnonzero(np.random.default_rng(2).random(whole.size) < 0.3)
    found = bilinear_at(small[0, 0].numpy(), after, places)
    assert found.dtype == np.float32
    assert np.allclose(found, whole[places], rtol=1e-5, atol=0)
    assert np.allclose(bilinear_at(small[0, 0].numpy(), after, np.array([0, whole.size - 1])), whole[[0, -1]])


@pytest.mark.parametrize("factors", [(2, 2), (3, 1), (4, 5), (1, 2)])
@pytest.mark.parametrize("box", [
    (slice(0, None), slice(0, None)), (slice(3, 17), slice(5, 6)), (slice(0, 1), slice(-1, None)),
    (slice(8, 8), slice(2, 9)),
])
def test_within_a_box_it_is_torchs_enlargement(factors: tuple[int, int], box: tuple[slice, slice]) -> None:
    small = torch.rand(1, 1, 9, 13, generator=torch.Generator().manual_seed(1)) * 79 + 1
    after = 9 * factors[0], 13 * factors[1]
    whole = interpolate(small, after, mode="bilinear", align_corners=False)[0, 0].numpy()
    found = bilinear_within(small[0, 0].numpy(), factors, box)
    assert found.dtype == np.float32 and found.shape == whole[box].shape
    assert np.allclose(found, whole[box], rtol=1e-5, atol=0)


def test_whole_factors_are_those_of_both_sides() -> None:
    assert whole_factors((240, 320), (480, 960)) == (2, 3)
    assert whole_factors((187, 621), (375, 1242)) is None and whole_factors((240, 320), (480, 641)) is None


def test_few_are_less_than_a_tenth() -> None:
    assert is_few(9, (10, 10)) and not is_few(10, (10, 10))


@pytest.mark.parametrize("share", [0.03, 0.5])
@pytest.mark.parametrize("align", ["none", "median", "scale-shift"])
def test_an_evaluation_does_not_depend_on_it(share: float, align: str, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(3)
    samples = []
    for number in range(3):
        valid = draw.random((1, 60, 81)) < share
        depth = np.where(valid, draw.uniform(1, 70, valid.shape), 0).astype(np.float32)
        samples.append(Sample(id=str(number), image=torch.rand(3, 60, 81), depth=torch.from_numpy(depth)))
    answer = torch.from_numpy(draw.uniform(1, 70, (3, 1, 20, 27)).astype(np.float32))
    asked: list[int] = []

    def counted(*given: object) -> np.ndarray:
        asked.append(1)
        return bilinear_at(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(predict, "bilinear_at", counted)
    models = {"m": Answers(lambda image: answer[: len(image)])}
    some = evaluate(models, ListSource(samples), RULES, align=align)["m"]
    assert len(asked) == (3 if share < 0.1 else 0)
    monkeypatch.setattr(sampling, "_FEW", 10**9)
    all_of_it = evaluate(models, ListSource(samples), RULES, align=align)["m"]
    assert torch.allclose(some.values, all_of_it.values, rtol=1e-6, atol=1e-7)
