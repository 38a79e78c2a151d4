"""How sure a model is: hand-computed distributions, and the formulas over whole bins."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from kdcli.types import DepthKind, Prediction
from kdcli.uncertainty import both_views, edges, entropy, interval, mean, mode, quantiles, spread_of, variance

CENTERS = torch.tensor([1.0, 2.0, 3.0, 4.0])


def at_one_pixel(*probs: float) -> Tensor:
    return torch.tensor(probs).view(1, -1, 1, 1)


def random_bins(bins: int = 70, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    probs = torch.softmax(3 * torch.randn(2, bins, 3, 5, generator=generator), 1)
    return probs, torch.rand(2, bins, generator=generator).cumsum(1) + 0.1


def test_a_certain_pixel_has_no_spread() -> None:
    probs = at_one_pixel(0, 0, 1, 0)
    assert entropy(probs).item() == 0 and variance(probs, CENTERS).item() == 0
    assert mean(probs, CENTERS).item() == mode(probs, CENTERS).item() == 3
    low, high = interval(probs, CENTERS, 0.9)
    assert low.item() == pytest.approx(2.55) and high.item() == pytest.approx(3.45)


def test_equal_bins_are_the_least_certain() -> None:
    probs = at_one_pixel(0.25, 0.25, 0.25, 0.25)
    assert entropy(probs).item() == pytest.approx(math.log(4))
    assert entropy(probs, normalised=True).item() == pytest.approx(1)
    assert variance(probs, CENTERS).item() == pytest.approx(1.25)
    levels = (0.0, 0.125, 0.25, 0.5, 0.9, 1.0)
    assert quantiles(probs, CENTERS, levels).flatten().tolist() == pytest.approx([0.5, 1.0, 1.5, 2.5, 4.1, 4.5])


def test_a_quantile_is_interpolated_inside_its_bin() -> None:
    # The median lies in the second bin, 1.5 to 2.5, after 0.4 of its 0.5.
    assert quantiles(at_one_pixel(0.1, 0.5, 0.2, 0.2), CENTERS, [0.5]).item() == pytest.approx(1.5 + 0.4 / 0.5)


def test_edges_are_half_way_and_symmetric_outside() -> None:
    assert edges(torch.tensor([1.0, 2.0, 4.0])).tolist() == [0.5, 1.5, 3.0, 5.0]
    uniform = torch.linspace(1e-3, 80, 258, dtype=torch.float64)
    assert torch.allclose(edges((uniform[1:] + uniform[:-1]) / 2), uniform)


def test_bins_in_parts_are_bins_at_once() -> None:
    probs, centers = random_bins()
    places = centers[:, :, None, None]
    middle = (probs * places).sum(1, keepdim=True)
    assert torch.allclose(mean(probs, centers), middle)
    assert torch.allclose(variance(probs, centers), (probs * (places - middle).square()).sum(1, keepdim=True))
    assert torch.allclose(entropy(probs), torch.special.entr(probs).sum(1, keepdim=True))
    assert torch.equal(mode(probs, centers), places.expand_as(probs).gather(1, probs.argmax(1, keepdim=True)))


def test_quantiles_are_those_of_the_piecewise_linear_distribution() -> None:
    probs, centers = random_bins()
    levels = (0.05, 0.25, 0.5, 0.95)
    found, bounds = quantiles(probs, centers, levels), edges(centers)
    cumulated = torch.nn.functional.pad(probs.cumsum(1), (0, 0, 0, 0, 1, 0))
    for b in range(2):
        for y in range(3):
            for x in range(5):
                for i, level in enumerate(levels):
                    at = cumulated[b, :, y, x]
                    k = int((at[1:] < level).sum())
                    share = (found[b, i, y, x] - bounds[b, k]) / (bounds[b, k + 1] - bounds[b, k])
                    assert (at[k] + share * probs[b, k, y, x]).item() == pytest.approx(level, abs=1e-5)


def test_a_narrow_peak_far_away_keeps_its_digits() -> None:
    centers = torch.linspace(79.0, 79.1, 257)
    probs = torch.softmax(-0.5 * ((centers - 79.05) / 0.004).square(), 0).view(1, -1, 1, 1)
    assert variance(probs, centers).sqrt().item() == pytest.approx(0.004, rel=1e-3)


def test_a_distribution_gives_all_and_a_deviation_only_itself() -> None:
    probs, centers = random_bins()
    said = Prediction(depth=mean(probs, centers), kind=DepthKind.METRIC, probs=probs, centers=centers)
    spread = spread_of(said, [0.5, 0.9])
    assert spread is not None and spread.entropy is not None and spread.ends is not None
    low50, high50, low90, high90 = spread.ends.unbind(1)
    assert (low90 <= low50).all() and (low50 <= high50).all() and (high50 <= high90).all()
    assert spread.std.shape == spread.entropy.shape == (2, 1, 3, 5)
    alone = spread_of(Prediction(depth=said.depth, kind=said.kind, std=spread.std), [0.9])
    assert alone is not None and alone.ends is None and alone.entropy is None
    assert spread_of(Prediction(depth=said.depth, kind=said.kind)) is None


def test_two_views_are_their_mixture() -> None:
    (one, centers), (two, _) = random_bins(seed=1), random_bins(seed=2)
    views = [Prediction(depth=mean(p, centers), kind=DepthKind.METRIC, probs=p, centers=centers) for p in (one, two)]
    spreads = [spread_of(view) for view in views]
    assert spreads[0] is not None and spreads[1] is not None
    joint = both_views(spreads[0], spreads[1], views[0].depth, views[1].depth)
    assert torch.allclose(joint.std.square(), variance((one + two) / 2, centers), atol=1e-4)


def test_half_precision_is_widened() -> None:
    probs, centers = random_bins()
    rough = spread_of(Prediction(depth=probs[:, :1], kind=DepthKind.METRIC, probs=probs.bfloat16(), centers=centers))
    assert rough is not None and rough.std.dtype == torch.float32
