from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from kdcli.errors import SpecError
from kdcli.networks.heads import BinsHead, DirectHead


def heads(low: float = 0.1, high: float = 10.0) -> list[nn.Module]:
    return [DirectHead(8, low, high), BinsHead(8, low, high, 64)]


@pytest.mark.parametrize(("low", "high"), [(0.1, 10.0), (1.0, 80.0), (0.5, 2.0)])
def test_the_first_prediction_is_near_the_geometric_middle(low: float, high: float) -> None:
    feature = torch.rand(2, 8, 6, 5)
    for head in heads(low, high):
        depth = head(feature)[0].detach()
        share = torch.log(depth / low) / math.log(high / low)
        assert bool(((share > 0.45) & (share < 0.6)).all())


@pytest.mark.parametrize("spacing", ["log", "even"])
@pytest.mark.parametrize(("low", "high", "depth"), [(0.1, 10.0, 3.0), (0.1, 10.0, 0.3), (1.0, 80.0, 17.0)])
def test_a_head_begins_where_it_is_told(low: float, high: float, depth: float, spacing: str) -> None:
    feature = torch.rand(2, 8, 6, 5)
    for head in (DirectHead(8, low, high), BinsHead(8, low, high, 64, spacing)):  # type: ignore[arg-type]
        head.begin_at(depth)
        assert float(head(feature)[0].detach().mean()) == pytest.approx(depth, rel=0.2)


def test_a_head_begins_away_from_the_ends_of_its_range() -> None:
    head = DirectHead(8, 0.1, 10.0)
    for depth, share in ((0.01, 0.1), (1000.0, 0.9)):
        head.begin_at(depth)
        begins = float(torch.sigmoid(head.conv.bias.detach()))  # type: ignore[arg-type]
        assert begins == pytest.approx(share)


def test_depth_stays_in_range_and_finite_for_extreme_features() -> None:
    for head in heads():
        nn.init.normal_(head.get_submodule("conv").weight, std=10.0)  # type: ignore[arg-type]
        depth = head(100 * torch.randn(2, 8, 6, 5))[0].detach()
        assert float(depth.min()) >= 0.1 * (1 - 1e-5) and float(depth.max()) <= 10.0 * (1 + 1e-5)
        assert float(depth.max() / depth.min()) > 50


def test_direct_depth_is_the_documented_formula() -> None:
    head = DirectHead(2, 0.5, 8.0)
    feature = torch.randn(1, 2, 4, 4)
    expected = 0.5 * 16.0 ** torch.sigmoid(head.conv(feature))
    assert torch.allclose(head(feature)[0], expected)
    assert head(feature)[1:] == (None, None)


def test_bins_are_a_distribution_over_log_spaced_centers() -> None:
    head = BinsHead(4, 1.0, 16.0, 4)
    depth, probs, centers = head(torch.randn(2, 4, 3, 5))
    assert torch.allclose(centers, torch.tensor([2**0.5, 2**1.5, 2**2.5, 2**3.5]))
    assert probs.shape == (2, 4, 3, 5) and torch.allclose(probs.sum(1), torch.ones(2, 3, 5))
    assert torch.allclose(depth[:, 0], torch.einsum("bkhw,k->bhw", probs, centers))
    assert list(head.state_dict()) == ["conv.weight", "conv.bias"]


def test_even_bins_begin_where_log_bins_do() -> None:
    head = BinsHead(4, 0.1, 10.0, 64, "even")
    assert torch.allclose(head.centers.diff(), torch.full((63,), 9.9 / 64))
    feature = torch.zeros(1, 4, 2, 2)
    begins = [float(h(feature)[0].mean()) for h in (head, BinsHead(4, 0.1, 10.0, 64))]
    assert begins[0] == pytest.approx(begins[1], rel=0.02)
    with pytest.raises(SpecError, match="spacing=odd"):
        BinsHead(4, 0.1, 10.0, 8, "odd")  # type: ignore[arg-type]


def test_depth_is_float32_under_autocast() -> None:
    for head in heads():
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert head(torch.rand(1, 8, 4, 4))[0].dtype is torch.float32


@pytest.mark.parametrize(("low", "high"), [(0.0, 10.0), (-1.0, 10.0), (10.0, 10.0), (10.0, 1.0), (1.0, math.inf)])
def test_an_impossible_range_is_refused(low: float, high: float) -> None:
    with pytest.raises(SpecError, match=f"min_depth={low}, max_depth={high}"):
        DirectHead(4, low, high)
    with pytest.raises(SpecError, match="is no range"):
        BinsHead(4, low, high, 8)


def test_one_bin_is_refused() -> None:
    with pytest.raises(SpecError, match="bins=1 is too few"):
        BinsHead(4, 0.1, 10.0, 1)
