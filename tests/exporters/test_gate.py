"""Wrong files do not pass: each is an ONNX file that its runtime takes, with one thing changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from export_nets import Net
from onnx import numpy_helper
from torch import nn

from kdcli.errors import ConfigError
from kdcli.exporters import export, writing
from kdcli.exporters.formats.onnx import OnnxExporter
from kdcli.exporters.gate.compare import compare
from kdcli.types import Prediction

Change = Callable[[onnx.ModelProto], None]


def _weights(proto: onnx.ModelProto, sides: int, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Change the first constant of so many sides."""
    held = next(one for one in proto.graph.initializer if len(one.dims) == sides)
    held.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(held).copy()), held.name))


def swapped_colours(proto: onnx.ModelProto) -> None:
    _weights(proto, 4, lambda weight: weight[:, ::-1].copy())


def not_a_number(proto: onnx.ModelProto) -> None:
    def spoil(weight: np.ndarray) -> np.ndarray:
        weight.flat[0] = np.nan
        return weight

    _weights(proto, 4, spoil)


def another_resize(proto: onnx.ModelProto) -> None:
    node = next(one for one in proto.graph.node if one.op_type == "Resize")
    for attribute in node.attribute:
        if attribute.name == "coordinate_transformation_mode":
            attribute.s = b"align_corners"


class Changed(OnnxExporter):
    """Writes ONNX, and then changes it."""

    def __init__(self, change: Change) -> None:
        self.change = change

    def export(
        self, model: nn.Module, path: Path, *, size: tuple[int, int], dynamic: bool, metadata: Mapping[str, str]
    ) -> None:
        super().export(model, path, size=size, dynamic=dynamic, metadata=metadata)
        proto = onnx.load(path)
        self.change(proto)
        onnx.save(proto, path)


@pytest.mark.parametrize(("change", "reason"), [
    (swapped_colours, "red and blue are swapped"), (not_a_number, "not finite, at 100% of the pixels"),
    (another_resize, "drifts from the model"),
])  # fmt: skip
def test_a_changed_file_is_refused_and_not_kept(
    change: Change, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing.registry, "build", lambda *_: Changed(change))
    with pytest.raises(ConfigError, match=reason):
        export(Net().eval(), "onnx", tmp_path / "n.onnx", size=(64, 96))
    assert not list(tmp_path.iterdir())


class LostSize(OnnxExporter):
    """Is asked for one size, and writes a file that takes others and gives the old map for them."""

    def load(self, path: Path) -> object:  # type: ignore[override]
        file = super().load(path)

        def call(image: torch.Tensor) -> torch.Tensor:
            return file(torch.nn.functional.interpolate(image, size=(64, 96)))

        return call


def test_a_file_that_lost_its_size_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing.registry, "build", lambda *_: LostSize())
    with pytest.raises(ConfigError, match="takes 64x96 alone, and answers other sizes wrongly"):
        export(Net().eval(), "onnx", tmp_path / "n.onnx", size=(64, 96))
    assert not list(tmp_path.iterdir())


def test_a_network_whose_own_numbers_are_not_finite_is_told_apart_from_a_wrong_file(tmp_path: Path) -> None:
    net = Net().eval()
    with torch.no_grad():
        net.out.bias.fill_(float("nan"))
    with pytest.raises(ConfigError, match="the model itself gives numbers for depth that are not finite"):
        export(net, "onnx", tmp_path / "n.onnx", size=(64, 96))


def test_differences_are_those_of_the_maps() -> None:
    net = Net().eval()
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        wanted = net(image).depth
    given = wanted.clone()
    given[0, 0, 3, 5] *= 1.5
    found = compare(net, lambda _: given, image)[0]
    apart = (given - wanted).abs()
    assert found.absolute == pytest.approx(float(apart.max()))
    assert found.relative == pytest.approx(float(apart.max() / wanted.max()))
    assert found.mean == pytest.approx(float(apart.double().mean() / wanted.max()))
    assert found.largest_abs_rel == pytest.approx(0.5, rel=1e-5)
    assert found.abs_rel == pytest.approx(0.5 / wanted.numel(), rel=1e-4)
    assert found.agreement == pytest.approx(1 - 1 / wanted.numel())


def test_where_the_network_gives_zero_a_trace_more_is_no_large_error() -> None:
    class Zeros(Net):
        def forward(self, image: torch.Tensor) -> Prediction:
            depth = super().forward(image).depth
            return Prediction(depth=torch.relu(depth - depth.mean()), kind=self.depth_kind)

    net, image = Zeros().eval(), torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        wanted = net(image).depth
    assert bool((wanted == 0).any())
    same, near = (compare(net, lambda _, more=more: wanted + more, image)[0] for more in (0.0, 1e-6))
    assert (same.abs_rel, same.largest_abs_rel, same.agreement) == (0.0, 0.0, 1.0)
    assert near.largest_abs_rel < 0.01 and near.agreement == 1.0
    turned = compare(net, lambda _: -wanted, image)[0]
    assert turned.agreement == pytest.approx(float((wanted <= 1e-3 * wanted.max()).double().mean()))


def test_maps_of_another_shape_are_told() -> None:
    with pytest.raises(ConfigError, match="the file gives depth of 1x1x32x48, the model of 1x1x64x96"):
        compare(Net().eval(), lambda image: image[:, :1, ::2, ::2], torch.rand(1, 3, 64, 96))
