"""ONNX files of nobody in particular, for tests of what is measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper


def foreign_file(
    path: Path, *, shape: Sequence[int | str] = ("b", 3, "h", "w"), nodes: Sequence[NodeProto] | None = None,
    weights: dict[str, tuple[int, ...]] | None = None,
) -> Path:
    """Write a network of one image without metadata: a 3x3 convolution to four maps, or what is given."""
    nodes = nodes or [helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])]
    held = [
        numpy_helper.from_array(np.full(sides, 0.1, np.float32), name)
        for name, sides in (weights or {"w": (4, 3, 3, 3)}).items()
    ]
    graph = helper.make_graph(
        list(nodes), "net", [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], held,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path
