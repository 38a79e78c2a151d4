"""Eight-bit ONNX: convolutions and what lies between them quantised, with ranges seen on calibration images (QDQ)."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kdcli.errors import ConfigError
from kdcli.exporters.inputs import Input, as_given
from kdcli.exporters.quantising.floating import Floating
from kdcli.exporters.trace import silence

_QUANTISED = ("Conv", "Add", "Clip", "Relu", "Resize", "MatMul", "Gemm")


class _Reader:
    """Hands the calibration images to onnxruntime, one at a time."""

    def __init__(self, images: Tensor, kind: Input) -> None:
        self._left = iter(torch.split(images, 1))
        self._kind = kind

    def get_next(self) -> dict[str, Any] | None:
        """Return the next feed, None at the end."""
        image = next(self._left, None)
        return None if image is None else {"image": as_given(image, self._kind).numpy()}


def eight_bits(proto: Any, images: Tensor, kind: Input) -> Callable[[Floating], tuple[Any, int]]:
    """Return what makes the eight-bit version of an ONNX model, with some convolutions in float, and tells how many.

    Weights have a scale for each output channel and seven bits: with eight, processors that add products in 16 bits
    (those without VNNI or its like) saturate, by up to a fifth of the depth at single pixels, and the eighth bit gains
    nothing that could be measured. Biases stay in float, and runtimes bring them to 32 bits as they load the file.

    Args:
        proto: in float32; stays as it is. Its metadata is kept, and says ``int8``.
        images: B x 3 x H x W in 0..1 to calibrate on. kind: what the file takes.

    Raises:
        ConfigError: on the call, where the network cannot be quantised.
    """
    from onnxruntime.quantization import CalibrationDataReader

    CalibrationDataReader.register(_Reader)
    nodes = proto.graph.node
    convolves = [node.op_type == "Conv" for node in nodes]
    made_by = {name: at for at, node in enumerate(nodes) for name in node.output}

    def sources(at: int) -> list[int]:
        return [made_by[name] for name in nodes[at].input if name in made_by]

    def make(floating: Floating) -> tuple[Any, int]:
        kept, count = floating.among(convolves, sources)
        made = _made(proto, _Reader(images, kind), [nodes[at].name for at in sorted(kept)])
        del made.metadata_props[:]
        for one in proto.metadata_props:
            made.metadata_props.add(key=one.key, value=one.value)
        _share(made)
        return made, count

    return make


def _made(proto: Any, reader: _Reader, kept: list[str]) -> Any:
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    copied = onnx.ModelProto()
    copied.CopyFrom(proto)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "int8.onnx")
        try:
            with silence():
                quantize_static(
                    copied, path, reader, quant_format=QuantFormat.QDQ, per_channel=True, reduce_range=True,
                    activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                    op_types_to_quantize=list(_QUANTISED), nodes_to_exclude=kept,
                    extra_options={"QuantizeBias": False},
                )
                return onnx.load(path)
        except Exception as error:  # an operator that cannot be quantised surfaces in many ways
            reason = " ".join(str(error).split())[:160] or type(error).__name__
            raise ConfigError(f"this network cannot be quantised ({reason}); export without --int8") from error


def _share(proto: Any) -> None:
    """Keep one of constants that are alike: each convolution comes with zeros of its own, one for each channel."""
    first: dict[bytes, str] = {}
    instead: dict[str, str] = {}
    kept = []
    for held in proto.graph.initializer:
        name, held.name = held.name, ""
        content = held.SerializeToString(deterministic=True)
        held.name = name
        if (same := first.setdefault(content, name)) == name:
            kept.append(type(held).FromString(held.SerializeToString()))
        else:
            instead[name] = same
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(kept)
    for node in proto.graph.node:
        for at, name in enumerate(node.input):
            node.input[at] = instead.get(name, name)
