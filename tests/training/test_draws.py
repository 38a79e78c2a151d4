"""How often images come: by rank, within bounds, as often in all as there is room, nothing left out for long."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from kdcli.training.batches.draws import FACTOR, PERIOD, counts, ranks, spread, weights

NAN = float("nan")


def drawn(distances: Tensor, slots: int, rounds: int, seed: int = 0) -> Tensor:
    """Return how often each image comes in each of many rounds, R x N."""
    generator, left_out = torch.Generator().manual_seed(seed), torch.zeros(len(distances), dtype=torch.int64)
    found = []
    for _ in range(rounds):
        found.append(counts(weights(distances), slots, left_out, generator))
        left_out = torch.where(found[-1] > 0, 0, left_out + 1)
    return torch.stack(found)


def test_ranks_share_the_middle_where_values_are_equal() -> None:
    assert ranks(torch.tensor([3.0, 1.0, 2.0])).tolist() == [1.0, 0.0, 0.5]
    assert ranks(torch.tensor([1.0, 1.0, 5.0, 1.0])).tolist() == pytest.approx([1 / 3, 1 / 3, 1.0, 1 / 3])
    assert ranks(torch.tensor([NAN, 2.0, 1.0, NAN])).tolist() == [0.5, 1.0, 0.0, 0.5]
    assert ranks(torch.tensor([2.0])).tolist() == ranks(torch.tensor([NAN])).tolist() == [0.5]


def test_weights_are_bounded_however_far_an_image_is() -> None:
    far = weights(torch.tensor([0.1, 0.2, 0.3, 0.4, 1e30]))
    near = weights(torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5]))
    assert torch.equal(far, near) and far[-1] == FACTOR and far[0] == 1 / FACTOR and far[2] == 1
    assert weights(torch.full((4,), NAN)).tolist() == weights(torch.zeros(4)).tolist() == [1.0] * 4


@pytest.mark.parametrize(("images", "slots"), [(60, 64), (61, 64), (3, 16), (1, 4), (2, 2)])
def test_each_round_is_full_and_each_image_in_one_of_a_few(images: int, slots: int) -> None:
    rounds = drawn(torch.linspace(0, 1, images), slots, 60)
    assert rounds.sum(1).tolist() == [slots] * 60
    assert all(bool((rounds[i : i + PERIOD].sum(0) > 0).all()) for i in range(60 - PERIOD + 1))


def test_far_images_come_more_often_than_near_ones_within_the_bound() -> None:
    shown = drawn(torch.linspace(0, 1, 100), 100, 300).sum(0).double()
    near, middle, far = shown[:5].mean(), shown[48:53].mean(), shown[-5:].mean()
    assert float(far / middle) == pytest.approx(FACTOR, rel=0.1)
    assert 1 / FACTOR <= float(near / middle) < 0.7
    assert bool((shown[10:].reshape(-1, 10).mean(1).diff() > 0).all())


def test_without_distances_a_round_shows_each_image_once() -> None:
    assert drawn(torch.full((48,), NAN), 48, 2).unique().tolist() == [1]


def test_a_round_depends_on_its_seed_alone() -> None:
    far = torch.rand(40, generator=torch.Generator().manual_seed(1))
    assert torch.equal(drawn(far, 40, 5), drawn(far, 40, 5))
    assert not torch.equal(drawn(far, 40, 5), drawn(far, 40, 5, seed=1))


def test_looks_at_one_image_lie_evenly_apart() -> None:
    often = torch.tensor([1, 2, 4, 0] * 25)
    order = spread(often, torch.Generator().manual_seed(3))
    assert torch.equal(order.bincount(minlength=100), often)
    for image in (1, 2, 97, 98):
        at = (order == image).nonzero()[:, 0]
        apart = torch.cat([at.diff(), at[:1] + len(order) - at[-1:]]).double()
        assert apart.min() > 0.6 * len(order) / len(at)
