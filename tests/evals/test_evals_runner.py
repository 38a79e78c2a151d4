from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from evals_doubles import Answers, ListSource, Oracle, sample
from torch import Tensor, nn

from kdcli.errors import ConfigError, DataError, PluginError
from kdcli.evals import compare, evaluate, examine
from kdcli.evals.baseline import Constant
from kdcli.evals.protocol import find
from kdcli.evals.results import documents, write_csv
from kdcli.types import Batch, DepthKind, Prediction, Sample

NAN = float("nan")


def brightness(image: Tensor) -> Tensor:
    return 1 + 8 * image.mean(1, keepdim=True)


def mixed(count: int = 7) -> ListSource:
    """Images of two sizes, one of them with smaller ground truth."""
    sizes = [(12, 16), (10, 14), (12, 16)]
    samples = [sample(f"s{i}", sizes[i % 3], seed=i) for i in range(count)]
    small = sample("small", (3, 4), seed=99)
    return ListSource([*samples, sample("low", (12, 16), depth=small.depth, valid=small.valid)])


def test_batching_changes_no_number_and_no_order() -> None:
    source = mixed()
    one, many = (evaluate({"m": Answers(brightness)}, source, batch_size=size)["m"] for size in (1, 4))
    assert one.ids == many.ids == tuple(item.id for item in source.samples)
    assert one.indices == tuple(range(8))
    assert torch.allclose(one.values, many.values, rtol=1e-6)
    assert torch.equal(one.pixels, many.pixels)
    assert one.n == 8


def test_each_image_is_read_once_for_all_models() -> None:
    source = mixed()
    models = {name: Answers(brightness) for name in "abc"}
    found = evaluate(models, source, batch_size=3)
    assert source.reads == len(source)
    assert list(found) == ["a", "b", "c"]
    assert found["a"].metrics == found["c"].metrics


def test_very_many_sizes_are_not_held_back() -> None:
    source = ListSource([sample(str(i), (8 + i, 9), seed=i) for i in range(40)])
    seen: list[int] = []

    def answer(image: Tensor) -> Tensor:
        seen.append(source.reads)
        return brightness(image)

    assert evaluate({"m": Answers(answer)}, source, batch_size=2)["m"].n == 40
    assert seen[0] < 20


def test_images_that_cannot_count_are_named_with_the_reason() -> None:
    bare = sample("bare", depth=None, valid=None)
    empty = sample("empty", valid=torch.zeros(1, 12, 16, dtype=torch.bool))
    far = sample("far", depth=torch.full((1, 12, 16), 500.0))
    dark = sample("dark", image=torch.zeros(3, 12, 16))
    source = ListSource([sample("good"), bare, empty, dark, far])
    broken = Answers(lambda image: torch.where(image.sum((1, 2, 3), keepdim=True) == 0, NAN, brightness(image)))
    found = evaluate({"fine": Answers(brightness), "broken": broken}, source, batch_size=2)
    reasons = {s.id: s.reason for s in found["broken"].skipped}
    assert list(reasons) == ["bare", "empty", "dark", "far"]
    assert reasons["bare"] == "no ground truth"
    assert reasons["empty"] == reasons["far"] == "no valid pixel under the protocol"
    assert reasons["dark"] == "the prediction is not finite at 192 of 192 pixels that count"
    assert found["broken"].ids == ("good",)
    assert found["fine"].ids == ("good", "dark")
    assert compare(found["fine"], found["broken"]).n == 1


def test_infinity_is_not_hidden_by_clipping() -> None:
    def answer(image: Tensor) -> Tensor:
        depth = brightness(image)
        depth[..., 0, 0] = float("inf")
        return depth

    result = evaluate({"m": Answers(answer)}, ListSource([sample("a")]))["m"]
    assert result.n == 0
    assert "not finite at 1 of 192" in result.skipped[0].reason
    assert result.document()["metrics"]["abs_rel"] is None
    json.dumps(result.document(), allow_nan=False)


def test_not_a_number_where_nothing_counts_does_no_harm() -> None:
    valid = torch.ones(1, 12, 16, dtype=torch.bool)
    valid[:, :2] = False

    def answer(image: Tensor) -> Tensor:
        depth = brightness(image)
        depth[..., :2, :] = NAN
        return depth

    for kind in DepthKind:
        assert evaluate({"m": Answers(answer, kind)}, ListSource([sample("a", valid=valid)]))["m"].n == 1


def test_only_where_the_model_has_an_opinion() -> None:
    truth = sample("a")
    assert truth.depth is not None
    depth = truth.depth

    class Half(nn.Module):
        def forward(self, image: Tensor) -> Prediction:
            valid = torch.zeros(1, 1, 12, 16, dtype=torch.bool)
            valid[..., :8] = True
            return Prediction(depth=torch.where(valid, depth, NAN), kind=DepthKind.METRIC, valid=valid)

    class Nothing(nn.Module):
        def forward(self, image: Tensor) -> Prediction:
            nowhere = torch.zeros(1, 1, 12, 16, dtype=torch.bool)
            return Prediction(depth=depth[None], kind=DepthKind.METRIC, valid=nowhere)

    found = evaluate({"half": Half(), "nothing": Nothing()}, ListSource([truth]))
    assert int(found["half"].pixels) == 96
    assert found["half"].metrics["abs_rel"] == 0
    assert found["nothing"].skipped[0].reason == "the model has no opinion on any pixel that counts"


def test_an_opinion_at_another_size_does_not_leak() -> None:
    class Coarse(nn.Module):
        def forward(self, image: Tensor) -> Prediction:
            valid = torch.zeros(1, 1, 6, 8, dtype=torch.bool)
            valid[..., :4] = True
            return Prediction(depth=torch.where(valid, 3.0, 1e6), kind=DepthKind.METRIC, valid=valid)

    flat = sample("a", depth=torch.full((1, 12, 16), 3.0))
    result = evaluate({"m": Coarse()}, ListSource([flat]))["m"]
    assert int(result.pixels) == 96
    assert result.metrics["abs_rel"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("kind", "function", "align", "name"),
    [(DepthKind.METRIC, lambda d: d, None, "plain"), (DepthKind.SCALE_INVARIANT, lambda d: 9 * d, None, "plain+median"),
     (DepthKind.AFFINE_DEPTH, lambda d: 9 * d - 2, "auto", "plain+scale-shift"),
     (DepthKind.AFFINE_DISPARITY, lambda d: 9 / d + 2, None, "plain+scale-shift"),
     (DepthKind.AFFINE_DISPARITY, lambda d: 9 / d, "median", "plain+median"),
     (DepthKind.METRIC, lambda d: 9 * d, "median", "plain+median")],
)  # fmt: skip
def test_each_kind_is_aligned_as_it_needs(kind: DepthKind, function: object, align: str | None, name: str) -> None:
    result = evaluate({"m": Oracle(function, kind)}, mixed(), align=align)["m"]  # type: ignore[arg-type]
    assert result.metrics["abs_rel"] == pytest.approx(0, abs=2e-5)
    assert result.metrics["delta1"] == 1
    assert (result.protocol.name, result.protocol.hash, result.depth_kind) == (name, find(name).hash, kind)


def test_a_prediction_is_resized_before_it_is_inverted() -> None:
    coarse = torch.tensor([[1.0, 0.1]]).view(1, 1, 1, 2)
    truth = sample("a", (1, 4), depth=1 / torch.tensor([1.0, 0.775, 0.325, 0.1]).view(1, 1, 4))
    result = evaluate({"m": Answers(lambda image: coarse, DepthKind.AFFINE_DISPARITY)}, ListSource([truth]))["m"]
    assert result.metrics["abs_rel"] == pytest.approx(0, abs=1e-5)


def test_none_is_refused_before_an_image_is_read() -> None:
    source = mixed()
    model = Answers(brightness, DepthKind.AFFINE_DISPARITY)
    model.depth_kind = DepthKind.AFFINE_DISPARITY  # type: ignore[assignment]
    with pytest.raises(ConfigError, match="affine_disparity"):
        evaluate({"m": model}, source, align="none")
    assert source.reads == 0


def test_clipping_to_the_range_of_the_protocol() -> None:
    truth = sample("a", depth=torch.full((1, 12, 16), 8.0))
    far = Answers(lambda image: torch.full((1, 1, 12, 16), 1000.0))
    capped = evaluate({"m": far}, ListSource([truth]))["m"].metrics["rmse"]
    free = evaluate({"m": far}, ListSource([truth]), replace(find("plain"), clamp=False))["m"].metrics["rmse"]
    assert (capped, free) == (72, 992)


def test_flip_averages_with_the_mirror_image() -> None:
    truth = sample("a", depth=torch.full((1, 12, 16), 4.0))
    ramp = torch.linspace(2, 6, 16).expand(1, 1, 12, 16)
    result = evaluate({"m": Answers(lambda image: ramp)}, ListSource([truth]), flip=True)["m"]
    assert result.metrics["abs_rel"] == pytest.approx(0, abs=1e-6)
    assert result.protocol.name == "plain+flip"
    assert evaluate({"m": Answers(lambda image: ramp)}, ListSource([truth]), "plain+flip", flip=False)["m"].metrics[
        "abs_rel"
    ] == pytest.approx(0.2667, abs=1e-3)


def test_size_is_given_to_the_model() -> None:
    model = Answers(brightness)
    result = evaluate({"m": model}, mixed(), size=(6, 8), batch_size=1)["m"]
    assert set(model.sizes) == {(1, 3, 6, 8)}
    assert result.document()["size"] == [6, 8]
    assert int(result.pixels[0]) == 12 * 16


def test_models_are_left_as_they_were() -> None:
    class Caching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))
            self.norm = nn.BatchNorm2d(3)
            self.cache: Tensor | None = None
            self.modes: list[bool] = []

        def forward(self, image: Tensor) -> Prediction:
            self.modes.append(self.training or self.norm.training)
            if self.cache is None:
                self.cache = torch.ones(1)
            return Prediction(depth=brightness(image) * self.scale * self.cache, kind=DepthKind.METRIC)

    model = Caching()
    model.train()
    model.norm.eval()
    evaluate({"m": model}, mixed())
    assert not any(model.modes)
    assert model.training
    assert not model.norm.training
    model(torch.rand(1, 3, 4, 4)).depth.sum().backward()
    assert model.scale.grad is not None


def test_constant_is_the_median_that_counts() -> None:
    depth = torch.tensor([1.0, 2.0, 3.0, 100.0]).view(1, 2, 2)
    result = evaluate({"c": Constant()}, ListSource([sample("a", (2, 2), depth=depth)]))["c"]
    assert result.metrics["abs_rel"] == pytest.approx((1 + 0 + 1 / 3) / 3)
    with pytest.raises(ConfigError, match="constant"):
        Constant()(torch.zeros(1, 3, 2, 2))


def test_a_source_that_renders_batches_is_asked_for_batches() -> None:
    class Rendered(ListSource):
        calls: list[tuple[list[int], object, str]] = []  # noqa: RUF012

        def batch(self, indices: Sequence[int], size: object, device: torch.device) -> Batch:
            self.calls.append((list(indices), size, str(device)))
            chosen = [self.samples[i] for i in indices]
            depth = torch.stack([s.depth for s in chosen if s.depth is not None])
            return Batch(ids=tuple(s.id for s in chosen), image=torch.stack([s.image for s in chosen]), depth=depth)

    source = Rendered([sample(str(i), seed=i) for i in range(5)])
    result = evaluate({"m": Answers(brightness)}, source, batch_size=2, size=(12, 16))["m"]
    assert source.reads == 0
    assert Rendered.calls == [([0, 1], (12, 16), "cpu"), ([2, 3], (12, 16), "cpu"), ([4], (12, 16), "cpu")]
    plain = evaluate({"m": Answers(brightness)}, ListSource(source.samples), batch_size=2)["m"]
    assert torch.allclose(result.values, plain.values)


def test_an_endless_source_needs_a_limit() -> None:
    class Endless(ListSource):
        def __len__(self) -> int:
            return 2**31 - 1

        def __getitem__(self, index: int) -> Sample:
            return sample(str(index), seed=index)

    with pytest.raises(ConfigError, match=r"'list' is endless.*count=N.*--limit"):
        evaluate({"m": Answers(brightness)}, Endless([]))
    assert evaluate({"m": Answers(brightness)}, Endless([]), limit=3)["m"].n == 3


def test_what_cannot_be_evaluated_is_refused() -> None:
    model = {"m": Answers(brightness)}
    with pytest.raises(DataError, match="no ground truth"):
        evaluate(model, ListSource([sample("a")], depth_kind=None))
    with pytest.raises(DataError, match=r"none of the 1 images.*'a': no ground truth"):
        evaluate(model, ListSource([sample("a", depth=None, valid=None)]))
    with pytest.raises(DataError, match="it is empty"):
        evaluate(model, ListSource([]))
    with pytest.raises(ConfigError, match="no model"):
        evaluate({}, mixed())
    with pytest.raises(ConfigError, match="limit 0"):
        evaluate(model, mixed(), limit=0)
    with pytest.raises(ConfigError, match="affine_disparity"):
        evaluate(model, ListSource([sample("a")], depth_kind=DepthKind.AFFINE_DISPARITY))


def test_a_model_that_breaks_the_contract_is_named() -> None:
    class Bare(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return brightness(image)

    with pytest.raises(PluginError, match="'bare' returns Tensor"):
        evaluate({"bare": Bare()}, mixed())
    with pytest.raises(PluginError, match="1x12x16"):
        evaluate({"flat": Answers(lambda image: brightness(image)[0])}, ListSource([sample("a")]))


def test_progress_ends_at_the_total() -> None:
    told: list[tuple[int, int]] = []
    evaluate({"m": Answers(brightness)}, mixed(), batch_size=3, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (8, 8)
    assert sorted(told) == told


def test_documents_hold_the_contract() -> None:
    found = evaluate({"m": Answers(brightness), "constant": Constant()}, mixed(), seed=4, spec="list:x")
    one = documents([found["m"]])
    assert isinstance(one, dict)
    assert set(one) >= {"model", "depth_kind", "protocol", "n", "skipped", "metrics", "ci95", "align", "spec"}
    assert one["protocol"] == {"name": "plain", "hash": find("plain").hash}
    assert one["spec"] == "list:x"
    assert list(one["metrics"]) == list(one["ci95"])
    assert all(low <= one["metrics"][name] <= high for name, (low, high) in one["ci95"].items())
    two = documents(list(found.values()))
    assert isinstance(two, list)
    against = two[0]["paired"]["constant"]
    assert against["difference"]["rmse"] == pytest.approx(one["metrics"]["rmse"] - two[1]["metrics"]["rmse"])
    assert against["share_above_zero"]["rmse"] == pytest.approx(1 - two[1]["paired"]["m"]["share_above_zero"]["rmse"])
    assert json.loads(json.dumps(two, allow_nan=False)) == two


def test_csv_holds_every_image_of_every_model(tmp_path: Path) -> None:
    source = ListSource([*mixed().samples, sample("bare, \"x\"", depth=None, valid=None)])
    found = evaluate({"m": Answers(brightness), "c": Constant()}, source)
    write_csv(tmp_path / "rows.csv", found)
    with (tmp_path / "rows.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 18
    values = [float(row["abs_rel"]) for row in rows if row["model"] == "m" and not row["skipped"]]
    assert values == found["m"].values[:, 0].tolist()
    assert [row["image"] for row in rows if row["skipped"]] == ['bare, "x"'] * 2


def test_examples_are_the_worst_images_in_order() -> None:
    source = mixed()
    models = {"m": Answers(brightness), "disparity": Oracle(lambda d: 3 / d + 1, DepthKind.AFFINE_DISPARITY)}
    found = evaluate(models, source)
    worst = found["m"].worst(3)
    column = found["m"].values[:, 0]
    assert [column[i] for i in worst] == sorted(column, reverse=True)[:3]
    assert found["m"].worst(1, "delta1") == (int(found["m"].values[:, 6].argmin()),)
    shown = examine(models, source, worst)
    assert [example.id for example in shown] == [source.samples[i].id for i in worst]
    for example in shown:
        assert torch.allclose(example.predictions["disparity"], example.depth, rtol=1e-3)
        error = (example.predictions["m"] - example.depth).abs() / example.depth
        assert float(error.mean()) == pytest.approx(float(column[found["m"].ids.index(example.id)]), rel=1e-5)
