from __future__ import annotations

import pytest
import torch
from torch import Tensor

from kdcli.evals.sparsification import REMOVED, STEPS, area, order, relative, remaining


def curve(error: Tensor, uncertainty: Tensor, valid: Tensor | None = None) -> Tensor:
    valid = torch.ones_like(error, dtype=torch.bool) if valid is None else valid
    return remaining(error, order(uncertainty, valid))


def test_twenty_pixels_by_hand() -> None:
    # Pixel i has error i and is the i-th most certain: after removing r pixels the mean of 0 .. 19 - r is left.
    error = torch.arange(20.0)[None].flip(1)
    left = curve(error, 2 * error + 1)
    assert left.tolist() == [[(19 - r) / 2 for r in range(STEPS)]]
    assert REMOVED[0] == 0 and REMOVED[-1] == 0.95
    # Straight from 1 to 0 over 0.95: half of that.
    assert area(relative(left)).item() == pytest.approx(0.95 / 2)


def test_the_worst_order_keeps_the_largest_errors() -> None:
    error = torch.arange(20.0)[None]
    assert curve(error, -error).tolist() == [[(19 + r) / 2 for r in range(STEPS)]]


def test_a_constant_uncertainty_is_chance_whatever_the_order_of_pixels() -> None:
    error = torch.rand(3, 101, generator=torch.Generator().manual_seed(0))
    left = curve(error, torch.full_like(error, 0.3))
    assert torch.allclose(left, error.double().mean(1, keepdim=True).expand(-1, STEPS))
    assert area(1 - relative(left)).abs().max() < 1e-12


def test_ties_share_their_mean() -> None:
    error = torch.tensor([[1.0, 3.0, 10.0, 20.0]])
    left = curve(error, torch.tensor([[0.0, 0.0, 1.0, 1.0]]))
    # Removed: none, one of the two uncertain (mean 15), both, one more of the two certain (mean 2).
    assert [left[0, i].item() for i in (0, 5, 10, 15)] == pytest.approx([8.5, (4 + 15) / 3, 2, 2])


def test_pixels_that_do_not_count_change_nothing() -> None:
    generator = torch.Generator().manual_seed(1)
    error, uncertainty = torch.rand(2, 40, generator=generator), torch.rand(2, 40, generator=generator)
    valid = torch.rand(2, 40, generator=generator) > 0.4
    error[~valid], uncertainty[~valid] = 1e9, torch.nan
    left = curve(error, uncertainty, valid)
    for row in range(2):
        keep = valid[row]
        assert torch.equal(left[row], curve(error[row, keep][None], uncertainty[row, keep][None])[0])


def test_an_uncertainty_that_is_no_number_goes_first() -> None:
    error = torch.tensor([[1.0, 2.0, 3.0, 50.0]])
    assert curve(error, torch.tensor([[0.1, 0.2, 0.3, torch.nan]]))[0, 5].item() == pytest.approx(2)


def test_an_image_without_error_has_nothing_to_gain() -> None:
    flat = relative(curve(torch.zeros(1, 9), torch.rand(1, 9)))
    assert torch.equal(flat, torch.ones_like(flat))


def test_the_last_pixel_is_never_removed() -> None:
    assert torch.isfinite(curve(torch.ones(1, 1), torch.ones(1, 1))).all()
    assert curve(torch.tensor([[1.0, 5.0]]), torch.tensor([[0.0, 1.0]]))[0].tolist() == [3.0] * 10 + [1.0] * 10
