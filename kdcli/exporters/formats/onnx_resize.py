"""Resizes by whole factors, written as factors.

PyTorch's exporter writes the size that a map is resized to, as a tensor made of the batch, which is open, and of height
and width, which are known where a file takes one size. onnxruntime keeps maps in the layout that its convolutions
want (NCHWc) only through resizes whose factors are constant and whole; around every other one it turns them to and fro
(1.32). The numbers are the same: a factor that is whole is what a runtime makes of the two sizes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_SIZES = 3
"""Place of the sizes among the inputs of Resize; the factors stand before them."""


def by_factors(proto: Any) -> None:
    """Give every resize of an ONNX model, from a known height and width to whole multiples, factors for sizes.

    What only made the sizes goes.
    """
    import onnx

    graph = proto.graph
    sides = sides_of(onnx.shape_inference.infer_shapes(proto).graph)
    changed = False
    for node in graph.node:
        if node.op_type != "Resize" or len(node.input) <= _SIZES or not node.input[_SIZES] or _has_axes(node):
            continue
        small, large = sides.get(node.input[0]), sides.get(node.output[0])
        if small is None or large is None or any(b % a for a, b in zip(small, large, strict=True)):
            continue
        factors = np.array([1, 1, *(b // a for a, b in zip(small, large, strict=True))], np.float32)
        name = f"{node.output[0]}_factors"
        graph.initializer.append(onnx.numpy_helper.from_array(factors, name))
        given = [node.input[0], "", name]
        del node.input[:]
        node.input.extend(given)
        changed = True
    if changed:
        _drop_unread(graph)


def sides_of(graph: Any) -> dict[str, tuple[int, int]]:
    """Return height and width of every map B x C x H x W of which they are known, by name."""
    found = {}
    for value in (*graph.input, *graph.value_info, *graph.output):
        sides = [one.dim_value for one in value.type.tensor_type.shape.dim]
        if len(sides) == 4 and min(sides[2:]) > 0:
            found[value.name] = (sides[2], sides[3])
    return found


def _has_axes(node: Any) -> bool:
    """Whether a resize names the axes that its sizes are of, or keeps their ratio."""
    return any(one.name == "axes" or (one.name == "keep_aspect_ratio_policy" and one.s not in (b"", b"stretch"))
               for one in node.attribute)


def _drop_unread(graph: Any) -> None:
    """Drop nodes and constants that nothing reads any more."""
    while True:
        read = _read(graph)
        gone = [node for node in graph.node if not read.intersection(node.output)]
        for node in gone:
            graph.node.remove(node)
        if not gone:
            break
    for one in [one for one in graph.initializer if one.name not in read]:
        graph.initializer.remove(one)


def _read(graph: Any) -> set[str]:
    """Return the names of all that a graph, and the graphs inside of it, give or read."""
    names = {one.name for one in graph.output}
    for node in graph.node:
        names.update(node.input)
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                names |= _read(inner)
    return names
