from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from bench_files import foreign_file
from onnx import NodeProto, helper

from kdcli.benching.counting import facts_of, multiply_adds_of
from kdcli.evals.cost import cost_of
from kdcli.exporters import export
from kdcli.plugins import registry

Node = helper.make_node
FLAT = [Node("Flatten", ["x"], ["f"])]
CASES: dict[str, tuple[list[NodeProto] | None, dict[str, tuple[int, ...]] | None, int | None]] = {
    "convolution": (None, None, 8 * 12 * 4 * 27),
    "strided": ([Node("Conv", ["x", "w"], ["y"], strides=[2, 2], pads=[1, 1, 1, 1])], None, 4 * 6 * 4 * 27),
    "depthwise": ([Node("Conv", ["x", "w"], ["y"], group=3)], {"w": (3, 1, 1, 1)}, 8 * 12 * 3),
    "transposed": ([Node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2])], {"w": (3, 5, 2, 2)},
                   3 * 8 * 12 * 5 * 4),
    "matrix product": ([*FLAT, Node("MatMul", ["f", "w"], ["y"])], {"w": (288, 7)}, 288 * 7),
    "transposed weights": ([*FLAT, Node("Gemm", ["f", "w"], ["y"], transB=1)], {"w": (7, 288)}, 288 * 7),
    "none": ([Node("Relu", ["x"], ["y"])], {}, None),
    "hidden": ([Node("Einsum", ["x", "w"], ["y"], equation="bchw,cd->bdhw")], {"w": (3, 4)}, None),
}


@pytest.mark.parametrize("case", CASES)
def test_products_are_counted_for_one_image(tmp_path: Path, case: str) -> None:
    nodes, weights, wanted = CASES[case]
    file = foreign_file(tmp_path / "net.onnx", nodes=nodes, weights=weights)
    for images in (1, 3):
        assert multiply_adds_of(file, {"x": np.zeros((images, 3, 8, 12), np.float32)}) == wanted
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]


def test_a_file_counts_as_the_network_that_it_was_made_of(tmp_path: Path) -> None:
    network = registry.build("student", "mobilenet,width=0.35").eval()
    export(network, None, tmp_path / "net.onnx", size=(64, 96), verify=False)
    told = cost_of(network, lambda form: form(torch.rand(1, 3, 64, 96)))
    assert multiply_adds_of(tmp_path / "net.onnx", {"image": np.zeros((1, 3, 64, 96), np.float32)}) == (
        told.multiply_adds
    )


def test_weights_beside_a_file_are_its_own(tmp_path: Path) -> None:
    file = foreign_file(tmp_path / "net.onnx", weights={"w": (4, 3, 3, 3)})
    bytes, weights = facts_of(file)
    assert (bytes, weights) == (file.stat().st_size, 108)
    onnx.save(onnx.load(file), tmp_path / "split.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    split, weights = facts_of(tmp_path / "split.onnx")
    assert (split, weights) == ((tmp_path / "split.onnx").stat().st_size + 4 * 108, 108)
