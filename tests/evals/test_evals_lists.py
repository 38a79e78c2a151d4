"""Lists of pixels and whole maps are two forms of one measurement."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from evals_doubles import Answers, ListSource
from torch import Tensor

from kdcli.evals import blocks, fits
from kdcli.evals.alignment import UNKNOWNS, align
from kdcli.evals.batches import prepare
from kdcli.evals.fits import line, middle
from kdcli.evals.listed import positions
from kdcli.evals.measure import listed, measured
from kdcli.evals.metrics import NAMES, of_maps, per_image
from kdcli.evals.predict import Raw, raw_prediction
from kdcli.evals.protocol import Fit, Protocol, find
from kdcli.evals.runner import evaluate
from kdcli.maps import masked_median, masked_quantile
from kdcli.types import Batch, DepthKind, Sample


def scene(size: tuple[int, int], share: float, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    draw = np.random.default_rng(seed)
    truth = draw.uniform(0.5, 70, (2, 1, *size)).astype(np.float32)
    said = (truth * np.exp(draw.normal(0, 0.2, truth.shape))).astype(np.float32)
    valid = draw.random(truth.shape) < share
    truth[~valid] = 0
    return torch.from_numpy(said), torch.from_numpy(truth), torch.from_numpy(valid)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.05, 0.4, 0.99, 1.0])
@pytest.mark.parametrize("size", [1, 7, 8, 64, 1001])
def test_positions_are_those_that_are_on(share: float, size: int) -> None:
    mask = np.random.default_rng(3).random(size) < share
    assert np.array_equal(positions(mask), np.flatnonzero(mask))


@pytest.mark.parametrize("count", [5000, 40_000, 200_001])
@pytest.mark.parametrize(
    "kind", ["any", "equal", "two", "sorted", "drawn unevenly", "a third no number", "most no number"]
)
def test_the_middle_of_many_is_that_of_a_sort(kind: str, count: int) -> None:
    values = np.random.default_rng(5).uniform(0.5, 80, count).astype(np.float32)
    if kind == "equal":
        values[:] = 3
    elif kind == "two":
        values = np.where(values < 40, np.float32(1), np.float32(2))
    elif kind == "sorted":
        values.sort()
    elif kind == "drawn unevenly":  # those that are looked at first tell nothing of the others
        values[:: fits.drawn_from(count)] = 1000
    elif kind.endswith("no number"):
        values[:: 3 if kind.startswith("a") else 1][: None if kind.startswith("a") else count * 2 // 3] = np.nan
    ordered = np.sort(values)
    want = ordered[count // 2] if count % 2 else (ordered[count // 2 - 1] + ordered[count // 2]) / 2
    assert np.array_equal(middle(values), float(want), equal_nan=True)


@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize(("size", "share"), [((3, 5), 1.0), ((120, 160), 1.0), ((375, 421), 0.05), ((375, 421), 0.3)])
def test_lists_and_maps_give_the_same_numbers(size: tuple[int, int], share: float, inclusive: bool) -> None:
    said, truth, valid = scene(size, share)
    said[0, 0, 0, :2], truth[0, 0, 0, :2], valid[0, 0, 0, :2] = torch.tensor([5.0, 4.0]), torch.tensor([4.0, 5.0]), True
    ours, pixels = per_image(said, truth, valid, delta_inclusive=inclusive)
    theirs, counted = of_maps(said, truth, valid, delta_inclusive=inclusive)
    assert torch.allclose(ours, theirs, rtol=1e-7, atol=1e-7 if share == 1 and size == (3, 5) else 0)
    assert torch.equal(ours[:, 6:], theirs[:, 6:])  # ties at 1.25 fall on the same side
    assert torch.equal(pixels, counted)


@pytest.mark.parametrize("block", [64, 4096, 1 << 20])
def test_the_size_of_a_block_changes_nothing(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    said, truth, _ = (one.numpy() for one in scene((100, 103), 1.0))
    want = blocks.nine(said[0, 0], truth[0, 0], (1e-3, 60.0))[0]
    monkeypatch.setattr(blocks, "_BLOCK", block)
    assert np.allclose(blocks.nine(said[0, 0], truth[0, 0], (1e-3, 60.0))[0], want, rtol=5e-8, atol=0)
    flat = np.clip(said[0, 0].reshape(-1), 1e-3, 60)
    assert np.allclose(blocks.nine(flat, truth[0, 0].reshape(-1))[0], want, rtol=5e-8, atol=0)


@pytest.mark.parametrize("count", [1, 2, 5, 6, 4001, 4002])
def test_the_median_is_that_of_numpy_in_every_form(count: int) -> None:
    values = np.random.default_rng(count).normal(size=count).astype(np.float32)
    values[: count // 3] = values[-1]
    assert middle(values) == float(np.median(values))
    mask = torch.ones(1, 1, 1, count, dtype=torch.bool)
    assert float(masked_median(torch.from_numpy(values).view(1, 1, 1, -1), mask)) == float(np.median(values))
    rank = round((count - 1) * 0.75)
    found = float(masked_quantile(torch.from_numpy(values).view(1, 1, 1, -1), mask, 0.75))
    assert found == float(np.sort(values)[rank])


def test_no_number_has_no_median_and_no_line() -> None:
    empty = np.empty(0, np.float32)
    assert np.isnan(middle(empty)) and np.isnan(line(empty, empty)).all()


def test_the_median_still_has_a_gradient() -> None:
    values = torch.tensor([3.0, 1.0, 2.0, 9.0], requires_grad=True)
    masked_median(values.view(1, 1, 1, -1), torch.tensor([True, True, True, True]).view(1, 1, 1, -1)).sum().backward()
    assert values.grad is not None and values.grad.tolist() == [0.5, 0.0, 0.5, 0.0]


@pytest.mark.parametrize("far", [0.0, 1e4])
def test_least_squares_far_from_zero_and_over_many_blocks(far: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fits, "_BLOCK", 1000)
    draw = np.random.default_rng(1)
    x = (far + np.linspace(0, 5, 12345)).astype(np.float32)
    y = (0.7 * x - 3 + draw.normal(0, 0.1, x.shape)).astype(np.float32)
    wide = np.stack([x.astype(np.float64), np.ones(x.shape)], 1)
    want = np.linalg.lstsq(wide, y.astype(np.float64), rcond=None)[0]
    assert line(x, y) == pytest.approx(tuple(want), rel=1e-7)
    assert line(np.full_like(x, 0.7), y)[0] == 0


@pytest.mark.parametrize("kind", [DepthKind.METRIC, DepthKind.AFFINE_DISPARITY])
@pytest.mark.parametrize("mode", list(UNKNOWNS))
@pytest.mark.parametrize("fit", [Fit(), Fit(positive=True, floor=1e-3), Fit(side=20)])
def test_alignments_agree_in_both_forms(kind: DepthKind, mode: str, fit: Fit) -> None:
    if kind is DepthKind.AFFINE_DISPARITY and mode in ("none", "scale-shift-log"):
        return
    said, truth, valid = scene((30, 40), 0.6)
    if kind.is_disparity:
        said = 1 / said - 0.02
    source = ListSource([Sample(id="a", image=torch.zeros(3, 30, 40), depth=truth[0], valid=valid[0])])
    rules = Protocol(name="x", fit=fit, resize="bilinear", flip=False)
    shown = Batch(ids=("a", "b"), image=torch.zeros(2, 3, 30, 40), depth=truth, valid=valid)
    prepared = prepare(shown, rules)
    raw = raw_prediction(Answers(lambda image: said, kind), prepared, rules, "m")
    lists = measured(raw, prepared, listed(prepared), rules, mode)  # type: ignore[arg-type]
    maps = measured(raw, prepared, None, rules, mode)  # type: ignore[arg-type]
    assert torch.allclose(lists.values, maps.values, rtol=1e-6, atol=1e-7)
    assert (lists.pixels, lists.broken, lists.fitted) == (maps.pixels, maps.broken, maps.fitted)
    one = evaluate({"m": Answers(lambda image: said[:1], kind)}, source, rules, align=mode)["m"]
    assert torch.allclose(one.values[0], maps.values[0], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("protocol", ["kitti-garg-full", "kitti-garg", "nyu-hu-crop", "plain"])
def test_protocols_list_the_pixels_that_their_masks_count(protocol: str) -> None:
    said, truth, valid = scene((375, 1242), 0.2)
    holes = torch.rand(said.shape, generator=torch.Generator().manual_seed(4)) > 0.3
    prepared = prepare(Batch(ids=("a", "b"), image=torch.zeros(2, 3, 375, 1242), depth=truth, valid=valid),
                       find(protocol))  # fmt: skip
    region = prepared.batch.depth
    assert region is not None
    height, width = region.shape[-2:]
    raw = Raw(map=said[..., :height, :width], kind=DepthKind.METRIC, opinion=holes[..., :height, :width])
    lists = measured(raw, prepared, listed(prepared), find(protocol), "none")
    maps = measured(raw, prepared, None, find(protocol), "none")
    assert torch.allclose(lists.values, maps.values, rtol=1e-7, atol=0)
    assert (lists.pixels, lists.broken, lists.fitted) == (maps.pixels, maps.broken, maps.fitted)


def test_an_infinity_is_seen_before_it_is_clipped() -> None:
    said, truth, valid = scene((20, 30), 1.0)
    said[0, 0, 3, 3] = torch.inf
    prepared = prepare(Batch(ids=("a", "b"), image=torch.zeros(2, 3, 20, 30), depth=truth, valid=valid), find("plain"))
    raw = Raw(map=said, kind=DepthKind.METRIC, opinion=None)
    assert measured(raw, prepared, listed(prepared), find("plain"), "none").broken == [1, 0]


def test_a_list_may_be_fitted_to_in_part() -> None:
    said, truth = torch.tensor([1.0, 2.0, 3.0, 50.0]), torch.tensor([3.0, 5.0, 7.0, 1.0])
    chosen = torch.tensor([True, True, True, False])
    assert align(said, DepthKind.AFFINE_DEPTH, truth, chosen, "scale-shift")[:3].tolist() == pytest.approx([3, 5, 7])
    assert align(said, DepthKind.METRIC, truth, chosen, "median")[1].item() == pytest.approx(5)


def test_rows_of_another_order_come_back_in_that_of_the_source() -> None:
    sizes = [(12, 16), (14, 16), (12, 16), (14, 16)]
    samples = [Sample(id=str(i), image=torch.zeros(3, *size), depth=torch.full((1, *size), i + 1.0))
               for i, size in enumerate(sizes)]  # fmt: skip
    found = evaluate({"m": Answers(lambda image: image[:, :1] + 1)}, ListSource(samples), "plain", batch_size=2)["m"]
    assert found.ids == ("0", "1", "2", "3") and found.indices == (0, 1, 2, 3)
    assert found.values[:, NAMES.index("rmse")].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("low", [1e-3, 0.1, 0.3])
def test_depth_at_an_end_of_the_range_does_not_count_in_either_form(low: float) -> None:
    """Ends are numbers of float32, above or below what the protocol says in float64."""
    truth = torch.full((1, 1, 4, 5), 2.0)
    truth[..., 1, 1], truth[..., 2, 2] = low, 10.0
    valid = torch.ones_like(truth, dtype=torch.bool)
    rules = Protocol(name="x", min_depth=low, max_depth=10.0, resize="bilinear", flip=False)
    prepared = prepare(Batch(ids=("a",), image=torch.zeros(1, 3, 4, 5), depth=truth, valid=valid), rules)
    masked = (truth > low) & (truth < 10.0)
    assert torch.equal(prepared.valid, masked)
    assert [len(one) for one in listed(prepared)] == [18]
