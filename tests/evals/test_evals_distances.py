"""Errors by distance: what goes into a bin comes out of it."""

from __future__ import annotations

import math

import pytest
import torch
from evals_doubles import ListSource, Oracle, sample

from kdcli.evals import evaluate
from kdcli.evals.distances import EDGES, Distances, per_image


def test_a_bin_holds_the_mean_of_its_pixels_with_and_without_sign() -> None:
    truth = torch.tensor([0.7, 0.8, 1.0, 4.5, 4.5, 100.0]).view(1, 1, 1, 6)
    said = torch.tensor([0.77, 0.72, 2.0, 4.5, 9.0, 50.0]).view(1, 1, 1, 6)
    valid = torch.tensor([1, 1, 1, 1, 0, 1], dtype=torch.bool).view(1, 1, 1, 6)
    bins = list(Distances.of(list(per_image(said, truth, valid))).bins())
    assert [(one.low, one.high, one.pixels) for one in bins] == [
        (0.5, 1.0, 2), (1.0, 1.5, 1), (4.0, 5.0, 1), (80.0, math.inf, 1)
    ]  # fmt: skip
    assert [one.abs_rel for one in bins] == pytest.approx([0.1, 1.0, 0.0, 0.5], abs=1e-6)
    assert [one.bias for one in bins] == pytest.approx([0.0, 1.0, 0.0, -0.5], abs=1e-6)
    assert bins[-1].middle == 80 and EDGES[0] == 0 and list(EDGES) == sorted(EDGES)


def test_they_are_added_up_only_on_request_and_over_what_counts() -> None:
    source = ListSource([sample(str(i), seed=i) for i in range(3)])
    model = Oracle(lambda depth: torch.where(depth < 4, 1.2 * depth, 0.9 * depth))
    assert evaluate({"m": model}, source)["m"].distances is None
    for batch_size in (1, 3):
        found = evaluate({"m": model}, source, distances=True, batch_size=batch_size)["m"]
        assert found.distances is not None
        bins = list(found.distances.bins())
        assert sum(one.pixels for one in bins) == int(found.pixels.sum())
        for one in bins:
            assert one.abs_rel == pytest.approx(0.2 if one.high <= 4 else 0.1, abs=1e-5)
            assert one.bias == pytest.approx(0.2 if one.high <= 4 else -0.1, abs=1e-5)
        told = found.document()["by_distance"]
        assert told[0]["from"] == 1.0 and set(told[0]) == {"from", "to", "pixels", "abs_rel", "bias"}


def test_rare_distances_say_nothing() -> None:
    sums = torch.zeros(len(EDGES) - 1, 3, dtype=torch.float64)
    sums[3], sums[4] = torch.tensor([10**6, 1.0, 1.0]), torch.tensor([5, 1.0, 1.0])
    assert len(list(Distances(sums=sums).bins())) == 1
