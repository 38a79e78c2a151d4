"""Eight-bit files of every format that has them: small, near to their network, and run by their own runtime."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.errors import ConfigError
from kdcli.exporters import export, load_exported
from kdcli.exporters.gate.judge import DEPTH_BUDGET
from kdcli.exporters.gate.pictures import synthetic
from kdcli.exporters.quantising.shown import Shown
from kdcli.types import DepthKind, Prediction

SIZE = (64, 96)
FORMATS = {
    "onnx": ("net.onnx", "onnxruntime"), "openvino": ("net.xml", "openvino"),
    "executorch": ("net.pte", "executorch"), "litert": ("net.tflite", "litert_torch"),
}


class Wide(nn.Module):
    """Convolutions with enough weights that these are what a file consists of, and a skip."""

    depth_kind = DepthKind.METRIC
    depth_range = (0.1, 10.0)

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 32, 3, stride=2, padding=1)
        self.wide = nn.Conv2d(32, 160, 3, stride=2, padding=1)
        self.middle = nn.Conv2d(160, 160, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(160)
        self.head = nn.Conv2d(160, 1, 3, padding=1)

    def forward(self, image: Tensor) -> Prediction:
        feature = functional.relu(self.wide(functional.relu(self.first(image - 0.5))))
        feature = feature + functional.relu(self.norm(self.middle(feature)))
        feature = functional.interpolate(feature, scale_factor=2, mode="bilinear", align_corners=False)
        return Prediction(depth=torch.exp(2 * torch.tanh(4 * self.head(feature))), kind=self.depth_kind)


@pytest.fixture(scope="module")
def net() -> Wide:
    return Wide().eval()


@pytest.fixture(scope="module")
def shown() -> Shown:
    return Shown(calibrate=synthetic(8, SIZE, seed=1), judge=synthetic(6, SIZE, seed=2), told="noise")


def cells() -> list[object]:
    marks = {"litert": [pytest.mark.slow], "executorch": [pytest.mark.slow]}
    return [pytest.param(form, marks=marks.get(form, [])) for form in FORMATS]


@pytest.mark.parametrize("form", cells())
def test_a_file_is_a_third_as_large_and_keeps_to_its_budget(
    form: str, net: Wide, shown: Shown, tmp_path: Path
) -> None:
    name, package = FORMATS[form]
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed: pip install 'kdcli[{form}]'")
    report = export(net, form, tmp_path / name, size=SIZE, int8=True, images=shown)
    mean, largest = DEPTH_BUDGET["int8"]
    assert report.int8 and report.share is not None and 0.25 < report.share < 0.3
    assert sorted(one.name for one in tmp_path.iterdir()) == list(report.files)
    assert report.drift[0].shape == (6, 3, *SIZE)
    assert all(1e-5 < drift.abs_rel <= mean and drift.largest_abs_rel <= largest for drift in report.drift)
    loaded = load_exported(report.path)
    assert loaded.card["int8"] is True and loaded.card["precision"] == "int8"
    assert loaded.card["calibrated_on"] == "noise"
    with torch.no_grad():
        given, wanted = loaded(shown.judge).depth, net(shown.judge).depth
    apart = (given - wanted).abs() / wanted
    assert float(apart.double().mean()) == pytest.approx(report.drift[0].abs_rel, rel=1e-3)


def test_weights_have_seven_bits_by_channel_and_the_last_convolution_stays(
    net: Wide, shown: Shown, tmp_path: Path
) -> None:
    graph = onnx.load(export(net, "onnx", tmp_path / "q.onnx", int8=True, images=shown).path).graph
    held = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    made = {output: node for node in graph.node for output in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 4 and convolutions[-1].input[1] in held
    for node in convolutions[:-1]:
        weight, scale = (held[name] for name in made[node.input[1]].input[:2])
        assert weight.dtype == "int8" and int(abs(weight.astype(int)).max()) <= 64
        assert len(scale) == len(weight)
    contents = [one.SerializeToString() for one in map(_unnamed, graph.initializer)]
    assert len(contents) == len(set(contents))


def test_bytes_go_into_an_int8_file_too(net: Wide, shown: Shown, tmp_path: Path) -> None:
    report = export(net, "onnx", tmp_path / "q.onnx", size=SIZE, int8=True, images=shown, input="uint8")
    assert load_exported(report.path).card["image"] == "B x H x W x 3 uint8, RGB"


def test_what_does_not_fit_is_said_before_anything_is_written(net: Wide, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--int8 does not go with --format pt2, which writes fp32"):
        export(net, "pt2", tmp_path / "q.pt2", int8=True)

    class Linear(nn.Module):
        depth_kind, depth_range = DepthKind.METRIC, (0.1, 10.0)

        def forward(self, image: Tensor) -> Prediction:
            return Prediction(depth=image.mean(1, keepdim=True) + 1, kind=self.depth_kind)

    with pytest.raises(ConfigError, match="no convolution in its file"):
        export(Linear().eval(), "onnx", tmp_path / "q.onnx", size=SIZE, int8=True)
    assert not list(tmp_path.iterdir())


def _unnamed(one: onnx.TensorProto) -> onnx.TensorProto:
    copied = onnx.TensorProto()
    copied.CopyFrom(one)
    copied.name = ""
    return copied
