"""Known answers of the bootstrap over seeds and images."""

from __future__ import annotations

import pytest
import torch

from kdcli.evals import intervals
from kdcli.evals.metrics import NAMES
from kdcli.study.bootstrap import Measured, difference, estimate

S, N, M = 3, 40, len(NAMES)


def random(seed: int, *shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def measured(values: torch.Tensor) -> Measured:
    return Measured(values=values, pixels=torch.full(values.shape[:2], 7.0, dtype=torch.float64))


@pytest.mark.parametrize("seeds", [1, 2, 5])
def test_without_spread_between_seeds_it_is_the_bootstrap_over_images(seeds: int) -> None:
    values = random(0, N, M)
    told = estimate(measured(values.expand(seeds, N, M)), seed=4)
    low, high = intervals.interval(values, torch.full((N,), 7), seed=4)
    assert torch.allclose(told.value, values.mean(0), atol=1e-12)
    assert torch.allclose(told.low, low, atol=1e-12) and torch.allclose(told.high, high, atol=1e-12)


def test_a_constant_difference_has_no_width() -> None:
    values = random(1, S, N, M)
    told = difference(measured(values + 0.25), measured(values))
    for bound in (told.value, told.low, told.high):
        assert torch.allclose(bound, torch.full((M,), 0.25, dtype=torch.float64), atol=1e-12)
    assert (told.above_zero == 1).all()
    tie = difference(measured(values), measured(values))
    assert (tie.low == 0).all() and (tie.above_zero == 0.5).all()


def test_the_variance_is_that_of_both_sources() -> None:
    """A sum of a seed's and an image's part: the variance of the mean is s^2/S + v^2/N, with S - 1 below s^2."""
    by_seed, by_image = random(2, S, 1, 1), random(3, 1, N, 1)
    values = (by_seed + by_image).expand(S, N, M)
    from kdcli.study import bootstrap

    drawn = bootstrap._drawn(measured(values), "image", 0, 20000)[:, 0]
    wanted = by_seed.var() / S + by_image.var(correction=0) / N
    assert drawn.var().item() == pytest.approx(wanted.item(), rel=0.05)
    assert drawn.mean().item() == pytest.approx(values.mean().item(), abs=0.01)


def test_images_are_drawn_once_for_all_seeds() -> None:
    """Nested resampling would make the part of images S times too small."""
    values = random(5, 1, N, M).expand(16, N, M)
    told = estimate(measured(values))
    width = (told.high - told.low)[0].item()
    assert width == pytest.approx(2 * 1.96 * values[0, :, 0].std().item() / N**0.5, rel=0.15)


def test_one_image_has_no_interval_and_shapes_must_fit() -> None:
    told = estimate(measured(random(6, 2, 1, M)))
    assert told.low.isnan().all() and told.value.isfinite().all()
    with pytest.raises(ValueError, match="same seeds and images"):
        difference(measured(random(7, 2, 5, M)), measured(random(8, 3, 5, M)))


def test_rmse_over_pooled_squares() -> None:
    values, pixels = random(9, 2, 6, M), torch.arange(12, dtype=torch.float64).reshape(2, 6) + 1
    told = estimate(Measured(values=values, pixels=pixels), "pixel")
    column = NAMES.index("rmse")
    wanted = [((values[s, :, column] ** 2 * pixels[s]).sum() / pixels[s].sum()).sqrt() for s in range(2)]
    assert told.value[column].item() == pytest.approx(float(sum(wanted)) / 2)
