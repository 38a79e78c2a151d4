"""Entropic transport: known answers, limits, any epsilon, and a gradient that finite differences confirm."""

from __future__ import annotations

import itertools

import pytest
import torch
from kdcli_zoo.shared.transport import check_transport, sinkhorn_divergence
from torch import Tensor

from kdcli.errors import SpecError

EPSILONS = (1e-6, 1e-4, 1e-2, 0.1, 1.0, 10.0, 1e3, 1e6)
"""Blurs: square roots of the last epsilon."""


def points(count: int, channels: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, channels, generator=generator, dtype=torch.float64).to(dtype)


def test_equal_sets_are_no_way_apart_and_transport_alone_is() -> None:
    x = points(9, 5, 0)
    assert abs(sinkhorn_divergence(x, x).item()) < 1e-14
    assert sinkhorn_divergence(x, x, debias=False, steps=200).abs() > 1e-3
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    assert abs(sinkhorn_divergence(x, x[order]).item()) < 1e-14


@pytest.mark.parametrize("blur", EPSILONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_epsilon_overflows(blur: float, dtype: torch.dtype) -> None:
    x, y = points(12, 7, 0, dtype).requires_grad_(), 1 + points(10, 7, 1, dtype)
    value = sinkhorn_divergence(x, y, blur=blur)
    (gradient,) = torch.autograd.grad(value, x)
    assert torch.isfinite(value) and torch.isfinite(gradient).all() and value.dtype == dtype
    # At least the squared distance of the means, at most that of the best pairing and what rounding adds.
    assert value.item() > 0.5 * (x.mean(0) - y.mean(0)).square().sum().item() - 1e-3
    assert value.item() < 2 * 0.5 * torch.cdist(x, y).square().mean().item()


@pytest.mark.parametrize("blur", EPSILONS)
def test_one_point_repeated_and_far_away_points_do(blur: float) -> None:
    one = torch.zeros(4, 3, requires_grad=True)
    value = sinkhorn_divergence(one, torch.zeros(4, 3), blur=blur)
    assert value.item() == 0 and torch.isfinite(torch.autograd.grad(value, one)[0]).all()
    far = sinkhorn_divergence(torch.zeros(4, 3), torch.full((4, 3), 1e3), blur=blur)
    assert far.item() == pytest.approx(1.5e6, rel=1e-5)


def test_a_large_epsilon_compares_means() -> None:
    x, y = points(8, 4, 0), points(8, 4, 1)
    wanted = 0.5 * (x.mean(0) - y.mean(0)).square().sum()
    torch.testing.assert_close(sinkhorn_divergence(x, y, blur=1e4), wanted, rtol=1e-6, atol=0)
    single = sinkhorn_divergence(x.float(), y.float(), blur=1e4)
    torch.testing.assert_close(single, wanted.float(), rtol=1e-4, atol=0)


def test_a_small_epsilon_finds_the_best_pairing() -> None:
    x, y = points(5, 3, 0), points(5, 3, 1)
    costs = torch.cdist(x, y).square() / 2
    pairings = itertools.permutations(range(5))
    wanted = min(costs[range(5), list(pairing)].mean().item() for pairing in pairings)
    found = sinkhorn_divergence(x, y, blur=1e-2, scaling=0.9, steps=2000).item()
    assert found == pytest.approx(wanted, rel=1e-3)


def test_more_steps_converge_to_where_potentials_do_not_move() -> None:
    x, y = points(12, 6, 0), points(12, 6, 1)
    values = [sinkhorn_divergence(x, y, blur=0.5, steps=steps).item() for steps in (0, 500, 1000)]
    assert values[1] == pytest.approx(values[2], rel=1e-9)
    assert 0 < abs(values[0] - values[2]) < 0.01 * values[2]


def test_the_gradient_is_that_of_the_converged_value_and_goes_to_one_side() -> None:
    x, y = points(6, 3, 0).requires_grad_(), points(6, 3, 1).requires_grad_()

    def value(at: Tensor) -> Tensor:
        return sinkhorn_divergence(at, y, blur=0.5, steps=300)

    assert torch.autograd.gradcheck(value, (x,), eps=1e-6, atol=1e-7)
    mine, theirs = torch.autograd.grad(value(x), (x, y), allow_unused=True)
    assert mine.abs().sum() > 0 and theirs is None


def test_a_longer_bound_on_the_diameter_changes_nothing() -> None:
    x, y = points(9, 5, 0), points(7, 5, 1)
    assert sinkhorn_divergence(x, y).item() == sinkhorn_divergence(x, y, longest=1e4).item()


def test_half_precision_is_widened() -> None:
    x, y = points(6, 3, 0), points(6, 3, 1)
    assert sinkhorn_divergence(x.bfloat16(), y.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize(
    ("blur", "scaling", "steps", "told"),
    [(0.0, 0.5, 0, "blur=0.0"), (0.1, 1.0, 0, "scaling=1.0"), (0.1, 0.5, -1, "steps=-1")],
)
def test_what_is_no_transport_is_refused(blur: float, scaling: float, steps: int, told: str) -> None:
    with pytest.raises(SpecError, match=told):
        check_transport(blur, scaling, steps)
