"""ONNX in half precision: weights and what is computed between them, for GPUs, TensorRT and browsers (WebGPU).

Images and maps stay in float32, and so does what comes after the last convolution: a depth is often an exponential,
where half precision would show as steps. A CPU has few operators in half precision: onnxruntime turns them to float32
there, so that the file is smaller and no faster.
"""

from __future__ import annotations

from typing import Any

from kdcli.exporters.trace import silence


def in_half(proto: Any) -> Any:
    """Return an ONNX model in half precision; the one that is given is changed too."""
    with silence():
        from onnxruntime.transformers.float16 import convert_float_to_float16
        from onnxruntime.transformers.onnx_model import OnnxModel

        nodes = proto.graph.node
        last = max((i for i, node in enumerate(nodes) if node.op_type == "Conv"), default=-1)
        kept = [node.name for node in nodes[last + 1 :]]
        made = OnnxModel(convert_float_to_float16(proto, keep_io_types=True, node_block_list=kept))
        made.topological_sort()  # the converter puts its casts last (onnxruntime 1.32)
    del made.model.graph.value_info[:]  # of which it leaves some as they were in float32
    return made.model
