"""Resizes by whole factors are written as such; all others, and all numbers, stay as they are."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from kdcli.exporters import export
from kdcli.types import DepthKind, Prediction


class Resized(nn.Module):
    """A convolution, whose map is brought to a height and width."""

    depth_kind, depth_range = DepthKind.METRIC, (0.0, 10.0)

    def __init__(self, mode: str, height: int, width: int) -> None:
        super().__init__()
        self.mode, self.to = mode, (height, width)
        self.conv = nn.Conv2d(3, 1, 3, padding=1)

    def forward(self, image: Tensor) -> Prediction:
        depth = functional.softplus(self.conv(image))
        more = {} if self.mode == "nearest" else {"align_corners": False}
        return Prediction(depth=functional.interpolate(depth, self.to, mode=self.mode, **more), kind=self.depth_kind)


def resize_of(path: Path) -> tuple[onnx.GraphProto, onnx.NodeProto]:
    graph = onnx.load(path).graph
    return graph, next(node for node in graph.node if node.op_type == "Resize")


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_whole_factors_are_constants_and_nothing_makes_sizes(mode: str, tmp_path: Path) -> None:
    report = export(Resized(mode, 96, 48).eval(), "onnx", tmp_path / "n.onnx", size=(32, 48))
    graph, node = resize_of(report.path)
    held = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    assert list(node.input[1:2]) == [""] and held[node.input[2]].tolist() == [1, 1, 3, 1] and len(node.input) == 3
    assert not {"Shape", "Concat"} & {one.op_type for one in graph.node}
    assert report.worst is not None and report.worst.relative < 1e-5
    onnx.checker.check_model(onnx.load(report.path), full_check=True)


@pytest.mark.parametrize(("to", "size"), [((80, 96), (32, 48)), ((16, 24), (32, 48)), ((64, 96), None)],
                         ids=["two and a half", "smaller", "open"])  # fmt: skip
def test_other_resizes_keep_their_sizes(to: tuple[int, int], size: tuple[int, int] | None, tmp_path: Path) -> None:
    report = export(Resized("bilinear", *to).eval(), "onnx", tmp_path / "n.onnx", size=size)
    _, node = resize_of(report.path)
    assert len(node.input) == 4 and node.input[3]
    assert report.worst is not None and report.worst.relative < 1e-5
