from __future__ import annotations

import numpy as np
import pytest
import torch

from kdcli.evals import intervals
from kdcli.evals.metrics import NAMES

RMSE = NAMES.index("rmse")


def images(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    values = torch.rand(count, 9, generator=generator, dtype=torch.float64)
    return values, torch.randint(1, 100, (count,), generator=generator)


def test_means_and_the_three_kinds_of_rmse() -> None:
    values = torch.zeros(2, 9, dtype=torch.float64)
    values[:, RMSE] = torch.tensor([1.0, 3.0])
    pixels = torch.tensor([30, 10])
    assert intervals.point(values, pixels, "image")[RMSE] == pytest.approx(2)
    assert intervals.point(values, pixels, "mse")[RMSE] == pytest.approx(5**0.5)
    assert intervals.point(values, pixels, "pixel")[RMSE] == pytest.approx(3**0.5)


@pytest.mark.parametrize("aggregation", ["image", "mse", "pixel"])
def test_resamples_are_those_of_the_loop(aggregation: str) -> None:
    values, pixels = images(7)
    got = intervals.resamples(values, pixels, aggregation, seed=5, number=50)  # type: ignore[arg-type]
    drawn = torch.randint(7, (50, 7), generator=torch.Generator().manual_seed(5))
    for row in range(50):
        chosen = intervals.point(values[drawn[row]], pixels[drawn[row]], aggregation)  # type: ignore[arg-type]
        assert torch.allclose(got[row], chosen)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values, pixels = images(13)
    whole = intervals.resamples(values, pixels, "pixel", seed=1, number=100)
    monkeypatch.setattr(intervals, "_CHUNK", 40)
    # The draws are the same; a matrix product of another shape may round differently.
    assert torch.allclose(whole, intervals.resamples(values, pixels, "pixel", seed=1, number=100), rtol=1e-12, atol=0)


def test_all_resamples_are_counted_in_the_same_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "_CHUNK", 40)
    begins = {counts.data_ptr() for _, counts in intervals._counts(13, 100, 1)}
    assert len(begins) == 1


def test_the_interval_has_the_width_that_statistics_says() -> None:
    values, pixels = images(400)
    low, high = intervals.interval(values, pixels, seed=3)
    want = 2 * 1.96 * values.std(0) / 20
    assert torch.allclose(high - low, want, rtol=0.12)
    assert ((low < values.mean(0)) & (values.mean(0) < high)).all()


def test_the_seed_decides() -> None:
    values, pixels = images(20)
    assert torch.equal(intervals.interval(values, pixels, seed=1), intervals.interval(values, pixels, seed=1))
    assert not torch.equal(intervals.interval(values, pixels, seed=1), intervals.interval(values, pixels, seed=2))


def test_one_image_has_no_interval() -> None:
    values, pixels = images(1)
    assert intervals.interval(values, pixels).isnan().all()
    difference, bounds, share = intervals.paired((values, pixels), (values, pixels))
    assert (difference == 0).all()
    assert bounds.isnan().all()
    assert share.isnan().all()


def test_pairing_sees_what_separate_intervals_do_not() -> None:
    values, pixels = images(50)
    noise = 0.002 * torch.from_numpy(np.random.default_rng(0).standard_normal((50, 9)))
    better = values - 0.01 + noise
    difference, (low, high), share = intervals.paired((better, pixels), (values, pixels), seed=1)
    assert ((low < difference) & (difference < high)).all()
    assert (high < 0).all()
    assert (share == 0).all()
    alone = intervals.interval(better, pixels, seed=1)
    assert (alone[1] > values.mean(0)).all()  # unpaired, the intervals overlap


def test_a_model_against_itself_is_a_tie() -> None:
    model = images(10)
    difference, bounds, share = intervals.paired(model, model)
    assert (difference == 0).all()
    assert (bounds == 0).all()
    assert (share == 0.5).all()
