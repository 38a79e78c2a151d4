"""What an ONNX file costs: the numbers in its weights, and its multiply-adds, counted while it runs.

onnxruntime writes down what each node was given and gave. Convolutions and matrix products are counted, as PyTorch's
own counter does (``kdcli.evals.cost``); a file whose products hide in other operators is not counted.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path
from typing import Any

from kdcli.guard.onnx_file import read_onnx
from kdcli.guard.onnx_open import open_onnx

_HIDDEN = {
    "Attention", "BiasSplitGelu", "DecoderMaskedMultiHeadAttention", "DeformConv", "Einsum", "GRU",
    "GatedRelativePositionBias", "GemmFastGelu", "GroupQueryAttention", "If", "LSTM", "Loop", "MatMulBnb4",
    "MatMulNBits", "MultiHeadAttention", "QAttention", "RNN", "Scan",
}
"""Operators with products inside that are not followed."""


def facts_of(path: Path) -> tuple[int, int | None]:
    """Return the bytes of a file, with weights that lie beside it, and how many numbers it has as weights; None where
    it has none.
    """
    import onnx

    read = read_onnx(path)
    beside = sum(one.nbytes for one in read.beside.values())
    known = onnx.ModelProto.FromString(read.data).graph.initializer
    # Whole numbers of 64 bits are shapes and places.
    weights = sum(prod(one.dims) for one in known if one.dims and one.data_type != onnx.TensorProto.INT64)
    return len(read.data) + beside, weights or None


def multiply_adds_of(path: Path, feed: Mapping[str, Any]) -> int | None:
    """Run a file once and return its multiply-adds for one image; None where they cannot be told.

    feed: what it is given by name, a batch of images.
    """
    images = len(next(iter(feed.values())))
    with tempfile.TemporaryDirectory(prefix="kdcli-bench-") as folder:
        session = open_onnx(path, trace=Path(folder, "nodes"))
        session.run(None, feed)
        events = json.loads(Path(session.end_profiling()).read_bytes())
    total = 0
    for event in events:
        told = event.get("args", {}) if event.get("cat") == "Node" else {}
        name = told.get("op_name", "")
        if name in _HIDDEN:
            return None
        if name in _COUNTED and "output_type_shape" in told:
            total += _COUNTED[name](_shapes(told["input_type_shape"]), _shapes(told["output_type_shape"]))
    return total // images or None


def _shapes(told: list[dict[str, list[int]]]) -> list[list[int]]:
    return [next(iter(one.values()), []) for one in told]


def _convolution(at: int) -> Callable[[list[list[int]], list[list[int]]], int]:
    """at: which input are the weights."""
    return lambda given, made: prod(made[0]) * prod(given[at][1:])


def _transposed(given: list[list[int]], made: list[list[int]]) -> int:
    return prod(given[0]) * prod(given[1][1:])


def _product(given: list[list[int]], made: list[list[int]]) -> int:
    return prod(made[0]) * given[0][-1]


def _general(given: list[list[int]], made: list[list[int]]) -> int:
    return prod(given[0]) * made[0][-1]  # whichever of its matrices are transposed


_COUNTED: dict[str, Callable[[list[list[int]], list[list[int]]], int]] = {
    "Conv": _convolution(1), "FusedConv": _convolution(1), "ConvInteger": _convolution(1),
    "QLinearConv": _convolution(3), "ConvTranspose": _transposed, "MatMul": _product, "MatMulInteger": _product,
    "QLinearMatMul": _product, "Gemm": _general,
}
