from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from evals_doubles import Answers, ListSource, sample
from torch import Tensor, nn

from kdcli.evals import evaluate
from kdcli.evals.uncertainty import NAMES, per_image
from kdcli.types import Batch, DepthKind, Prediction, ReadOut
from kdcli.uncertainty import Spread

KEYS = {
    "model", "depth_kind", "protocol", "align", "spec", "size", "n", "parameters", "multiply_adds", "multiply_adds_at",
    "pixels", "skipped", "metrics", "ci95",
}


class Bins(nn.Module):
    """Says the brightness of the image in metres, spread over uniform bins with a deviation."""

    depth_kind = DepthKind.METRIC

    def __init__(self, deviation: float = 1.0, factor: float = 1.0, flip: bool = False) -> None:
        super().__init__()
        self.deviation, self.factor = deviation, factor
        self.read_out = ReadOut(flip=flip)
        self.centers = factor * torch.linspace(0.05, 19.95, 200)

    def forward(self, image: Tensor) -> Prediction:
        middle = self.factor * (5 + 8 * image.mean(1, keepdim=True))
        offset = (self.centers.view(1, -1, 1, 1) - middle) / (self.factor * self.deviation)
        probs = torch.softmax(-0.5 * offset.square(), 1)
        depth = (probs * self.centers.view(1, -1, 1, 1)).sum(1, keepdim=True)
        return Prediction(depth=depth, kind=self.depth_kind, probs=probs, centers=self.centers)


class Deviant(nn.Module):
    """Knows the ground truth and how far it will say something else: its deviation is its error."""

    def __init__(self, sure: bool = False) -> None:
        super().__init__()
        self.sure = sure

    def from_batch(self, batch: Batch) -> Prediction:
        assert batch.depth is not None
        off = batch.depth.frac() * batch.depth / 4
        std = torch.full_like(off, 0.5) if self.sure else off / batch.depth
        return Prediction(depth=batch.depth + off, kind=DepthKind.METRIC, std=std)


def normal_source(count: int, deviation: float) -> ListSource:
    """Truth is drawn from a normal distribution about what ``Bins`` says."""
    # Every quantile once, in random places: no luck of the draw.
    even = torch.special.ndtri((torch.arange(2000) + 0.5) / 2000)
    samples = []
    for i in range(count):
        image = sample(str(i), (40, 50), seed=i).image
        noise = even[torch.randperm(2000, generator=torch.Generator().manual_seed(i))].view(1, 40, 50)
        depth = 5 + 8 * image.mean(0, keepdim=True) + deviation * noise
        samples.append(sample(str(i), image=image, depth=depth, valid=depth > 0))
    return ListSource(samples)


def told(model: nn.Module, source: ListSource, **options: Any) -> dict[str, float]:
    found = evaluate({"m": model}, source, uncertainty=True, **options)["m"].uncertainty
    assert found is not None
    return dict(found.metrics)


def test_who_knows_its_error_has_no_sparsification_error() -> None:
    numbers = told(Deviant(), ListSource([sample(str(i), seed=i) for i in range(3)]))
    assert numbers["ause_abs_rel_std"] == pytest.approx(0, abs=1e-6)
    assert numbers["aurg_abs_rel_std"] > 0.2
    assert numbers["ause_rmse_std"] > 0.01  # the order of relative errors is not that of metres


def test_who_is_always_as_sure_gains_nothing_over_chance() -> None:
    numbers = told(Deviant(sure=True), ListSource([sample(str(i), seed=i) for i in range(3)]))
    assert numbers["aurg_abs_rel_std"] == pytest.approx(0, abs=1e-9)
    assert numbers["aurg_rmse_std"] == pytest.approx(0, abs=1e-9)
    assert numbers["ause_abs_rel_std"] > 0.2


def test_a_calibrated_distribution_covers_what_it_says() -> None:
    numbers = told(Bins(), normal_source(4, 1.0))
    assert numbers["coverage_90"] == pytest.approx(0.9, abs=0.003)
    assert numbers["coverage_50"] == pytest.approx(0.5, abs=0.005)
    # Central intervals of a normal distribution: 2 x 1.645 and 2 x 0.674 deviations.
    assert numbers["width_90"] == pytest.approx(3.29, abs=0.02)
    assert numbers["width_50"] == pytest.approx(1.349, abs=0.02)
    assert numbers["mean_std"] == pytest.approx(1, abs=0.01)


def test_one_that_is_too_sure_is_found_out() -> None:
    numbers = told(Bins(0.5), normal_source(4, 1.0))
    assert numbers["coverage_90"] == pytest.approx(0.589, abs=0.005)  # within 0.822 deviations


def test_alignment_brings_intervals_to_metres_and_changes_no_order() -> None:
    source = normal_source(3, 0.2)
    metric, tripled = told(Bins(0.2), source), told(Bins(0.2, factor=3.0), source, align="median")
    for name in NAMES:
        assert tripled[name] == pytest.approx(metric[name], abs=0.03), name
    shifted = told(Bins(0.2, factor=3.0), source, align="scale-shift")
    assert shifted["width_90"] == pytest.approx(metric["width_90"], rel=0.05)


def test_views_that_disagree_are_less_sure() -> None:
    class Sided(Bins):
        def forward(self, image: Tensor) -> Prediction:
            # The first column tells which way round the picture is: another depth for the mirrored one.
            return super().forward(image + 0.25 * (image[:, :, :1, :1] > image[:, :, :1, -1:]))

    one = sample("a", (8, 8))
    image = one.image.clone()
    image[:, 0, 0], image[:, 0, -1] = 1.0, 0.0
    source = ListSource([sample("a", image=image, depth=one.depth[:, :8, :8], valid=torch.ones(1, 8, 8) > 0)])
    plain, both = (told(Sided(), source, flip=flip) for flip in (False, True))
    assert plain["mean_std"] == pytest.approx(1, abs=0.01)
    assert both["mean_std"] == pytest.approx(2**0.5, abs=0.01)  # the views are 2 m apart: 1 + (2 / 2)^2


def test_results_without_it_are_as_before_and_json_is_complete() -> None:
    source = normal_source(3, 1.0)
    models = {"bins": Bins(), "plain": Answers(lambda image: 5 + 8 * image.mean(1, keepdim=True))}
    before = evaluate(models, source)
    after = evaluate(models, source, uncertainty=True)
    for name in models:
        assert set(before[name].document()) == KEYS
        assert torch.equal(before[name].values, after[name].values)
    assert after["plain"].uncertainty is None and set(after["plain"].document()) == KEYS
    document = json.loads(json.dumps(after["bins"].document()["uncertainty"], allow_nan=False))
    assert set(document["metrics"]) == set(document["ci95"]) == set(NAMES)
    low, high = document["ci95"]["ause_abs_rel_std"]
    assert low <= document["metrics"]["ause_abs_rel_std"] <= high
    curves = document["sparsification"]
    assert len(curves["removed"]) == len(curves["abs_rel"]["std"]) == 20
    assert curves["rmse"]["oracle"][0] == 1 and curves["rmse"]["oracle"][-1] < 0.2


def test_what_a_model_does_not_tell_is_null() -> None:
    found = evaluate({"m": Deviant()}, ListSource([sample("a"), sample("b", seed=1)]), uncertainty=True)["m"]
    document = found.document()["uncertainty"]
    assert document["metrics"]["coverage_90"] is None and document["metrics"]["ause_abs_rel_entropy"] is None
    assert document["sparsification"]["abs_rel"]["entropy"] == [None] * 20
    assert document["metrics"]["ause_abs_rel_std"] is not None


def test_an_image_without_a_pixel_does_not_fail() -> None:
    depth = torch.ones(2, 1, 4, 4)
    valid = torch.ones_like(depth, dtype=torch.bool)
    valid[1] = False
    numbers, curves = per_image(2 * depth, depth, valid, Spread(std=depth, ends=torch.ones(2, 4, 4, 4)))
    assert numbers.shape == (2, len(NAMES)) and curves.shape == (2, 6, 20)
    assert numbers[0, NAMES.index("coverage_90")] == 1 and numbers[0, NAMES.index("width_90")] == 0
