"""The budget of depth error: what goes beyond it is not kept, and the convolutions that cost most stay in float."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch
from export_nets import Net
from torch import Tensor, nn
from torch.nn import functional

from kdcli.errors import ConfigError
from kdcli.exporters import export, writing
from kdcli.exporters.formats.onnx import OnnxExporter
from kdcli.exporters.gate.compare import Drift, measure_of
from kdcli.exporters.gate.judge import TooFar, judge
from kdcli.exporters.gate.pictures import synthetic
from kdcli.exporters.quantising.floating import Floating
from kdcli.exporters.quantising.search import within_budget
from kdcli.exporters.quantising.sensitive import by_effect
from kdcli.exporters.quantising.shown import Shown, made_up, parted
from kdcli.types import DepthKind, Prediction

SIZE = (64, 96)


class Uneven(nn.Module):
    """Its third convolution mixes a channel of large numbers with one of small ones that depth follows from."""

    depth_kind = DepthKind.METRIC
    depth_range = (0.1, 10.0)

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.ModuleList(nn.Conv2d(3 if i == 0 else 8, 8, 3, padding=1) for i in range(5))
        self.head = nn.Conv2d(8, 1, 3, padding=1)
        with torch.no_grad():
            self.layers[2].weight[:, 0] *= 400
            self.layers[1].weight[0] /= 400
            self.layers[1].bias[0] /= 400

    def forward(self, image: Tensor) -> Prediction:
        for layer in self.layers:
            image = functional.relu(layer(image))
        return Prediction(depth=torch.exp(self.head(image) * 5), kind=self.depth_kind)


def test_the_order_is_that_of_the_measured_effect() -> None:
    order, count = by_effect(Uneven().eval(), synthetic(4, SIZE))
    assert count == 6 and order[0] == 2 and sorted(order) == [0, 1, 2, 3, 4]


def test_convolutions_that_are_no_modules_are_counted_too() -> None:
    class Bare(Net):
        def forward(self, image: Tensor) -> Prediction:
            return super().forward(functional.conv2d(image, weight=torch.ones(3, 1, 1, 1), groups=3))

    order, count = by_effect(Bare().eval(), synthetic(2, SIZE))
    assert count == 3 and sorted(order) == [0, 1]


def test_those_that_cost_most_stay_in_float_until_the_budget_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = Uneven().eval()
    shown = Shown(calibrate=synthetic(8, SIZE, seed=1), judge=synthetic(8, SIZE, seed=2), told="noise")
    with pytest.raises(ConfigError, match=r"\d convolutions in float|of 6 convolutions in float") as caught:
        monkeypatch.setitem(_budget(), "int8", (1e-7, 1e-7))
        export(net, "onnx", tmp_path / "q.onnx", size=SIZE, int8=True, images=shown)
    assert "the int8 file is" in str(caught.value) and "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())
    monkeypatch.setitem(_budget(), "int8", (1e3, 1e3))
    first = export(net, "onnx", tmp_path / "a.onnx", size=SIZE, int8=True, images=shown).drift[0].abs_rel
    monkeypatch.setitem(_budget(), "int8", (first * 0.9, 1e3))
    report = export(net, "onnx", tmp_path / "b.onnx", size=SIZE, int8=True, images=shown)
    (note,) = [one for one in report.notes if "stay in float" in one]
    kept = int(note.split()[0])
    assert note.startswith(f"{kept} of its 6 convolutions") and report.drift[0].abs_rel <= first * 0.9
    graph = onnx.load(report.path).graph
    held = {one.name for one in graph.initializer}
    assert sum(node.op_type == "Conv" and node.input[1] in held for node in graph.node) == kept


class Saturated(OnnxExporter):
    """Writes eight bits whose maps end at an eighth of what they reach."""

    def quantised(self, model: nn.Module, path: Path, **options: object) -> Callable[[Floating], int]:  # type: ignore[override]
        write = super().quantised(model, path, **options)  # type: ignore[arg-type]

        def spoiled(floating: Floating) -> int:
            count = write(floating)
            proto = onnx.load(path)
            steps = {node.input[1] for node in proto.graph.node if node.op_type == "QuantizeLinear"}
            for held in proto.graph.initializer:
                if held.name in steps:
                    held.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(held) / 8, held.name))
            onnx.save(proto, path)
            return count

        return spoiled


def test_a_saturated_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing.registry, "build", lambda *_: Saturated())
    with pytest.raises(ConfigError, match=r"the int8 file is \d+\.\d+% from the model on average"):
        export(Net().eval(), "onnx", tmp_path / "q.onnx", size=SIZE, int8=True)
    assert not list(tmp_path.iterdir())


def test_ranges_of_the_dark_do_not_hold_in_daylight(tmp_path: Path) -> None:
    dark = Shown(calibrate=synthetic(8, SIZE, seed=1) * 0.05, judge=synthetic(8, SIZE, seed=2), told="the dark")
    with pytest.raises(ConfigError, match=r"the int8 file is \d+\.\d+% from the model on average"):
        export(Net().eval(), "onnx", tmp_path / "q.onnx", size=SIZE, int8=True, images=dark)
    assert not list(tmp_path.iterdir())


def test_one_pixel_beyond_the_budget_is_enough() -> None:
    def drift(mean: float, largest: float) -> Drift:
        return Drift(shape=(8, 3, *SIZE), absolute=1, relative=1, mean=1, abs_rel=mean, largest_abs_rel=largest,
                     agreement=1)

    judge([drift(0.006, 0.05)], precision="int8", tolerance=1e-3)
    for mean, largest in ((0.0061, 0.05), (0.001, 0.051), (float("inf"), float("inf")), (float("nan"), 0.01)):
        with pytest.raises(TooFar, match=r"0\.6% and 5% are allowed"):
            judge([drift(0.001, 0.01), drift(mean, largest)], precision="int8", tolerance=1e-3)


def test_a_zero_that_means_nothing_is_no_measure() -> None:
    wanted = torch.tensor([0.0, 1.0, 3.0])
    assert measure_of(wanted, positive=True).tolist()[1:] == [1, 3]
    assert measure_of(wanted, positive=False).tolist() == pytest.approx([4 / 3, 4 / 3, 3])


def test_another_failure_than_the_budget_ends_the_search() -> None:
    written: list[Floating] = []

    def write(floating: Floating) -> int:
        written.append(floating)
        return 1

    def gate() -> tuple[tuple[Drift, ...], list[str]]:
        raise ConfigError("the file does not open")

    with pytest.raises(ConfigError, match="does not open"):
        within_budget(write, gate, lambda: ([0], 2))
    assert written == [Floating()]


def test_what_a_convolution_in_float_reads_stays_in_float_down_to_where_that_comes_from() -> None:
    # conv 0, relu 1, conv 2, add 3 of 1 and 2, relu 4, conv 5, conv 6, exp 7
    reads = {0: [], 1: [0], 2: [1], 3: [1, 2], 4: [3], 5: [4], 6: [5], 7: [6]}
    convolves = [at in (0, 2, 5, 6) for at in range(8)]
    assert Floating().among(convolves, reads.__getitem__) == ({6, 7}, 1)
    assert Floating(frozenset({1}), 4).among(convolves, reads.__getitem__) == ({0, 1, 2, 6, 7}, 3)
    assert Floating(frozenset({2}), 4).among(convolves, reads.__getitem__) == ({3, 4, 5, 6, 7}, 2)
    with pytest.raises(ConfigError, match="its file has 4 convolutions, the network 5"):
        Floating(frozenset({1}), 5).among(convolves, reads.__getitem__)


def test_images_to_calibrate_on_and_to_judge_on_are_apart() -> None:
    images = synthetic(5, SIZE)
    shown = parted(images)
    assert torch.equal(shown.calibrate, images[::2]) and torch.equal(shown.judge, images[1::2])
    assert torch.equal(parted(images[:1]).judge, images[:1]) and "judged on, too" in parted(images[:1]).told
    made = made_up(SIZE)
    assert not any(torch.equal(one, two) for one in made.calibrate for two in made.judge)


def _budget() -> dict[str, tuple[float, float]]:
    from kdcli.exporters.gate.judge import DEPTH_BUDGET

    return DEPTH_BUDGET
