"""ONNX: one file with the weights inside, dynamic batch, and what the numbers mean in its metadata."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from kdcli.errors import ConfigError, WeightsError
from kdcli.exporters.formats.failing import writing
from kdcli.exporters.formats.onnx_half import in_half
from kdcli.exporters.formats.onnx_int8 import eight_bits
from kdcli.exporters.formats.onnx_resize import by_factors
from kdcli.exporters.formats.running import fixed_sides, maps_of
from kdcli.exporters.inputs import Input, as_given, input_in, input_of
from kdcli.exporters.quantising.floating import Floating
from kdcli.exporters.trace import outputs_of, silence, trace
from kdcli.guard.onnx_open import open_onnx
from kdcli.protocols import API_VERSION

LIMIT = 1_900_000_000
"""Most bytes of weights in one file; the format's own limit is 2 GB."""


class OnnxExporter:
    """``--format onnx``: for onnxruntime and everything that reads ONNX. Input ``image``, output ``depth``.

    With ``--uncertainty`` two more: ``std`` and ``entropy``.
    """

    api_version: ClassVar[int] = API_VERSION
    suffix = ".onnx"
    precisions = ("fp32", "fp16", "int8")

    def export(
        self, model: nn.Module, path: Path, *, size: tuple[int, int], dynamic: bool, metadata: Mapping[str, str],
        half: bool = False,
    ) -> None:
        """Write the file. half: weights and what is computed between them in half precision.

        Raises:
            ConfigError: the network cannot be expressed, or is too large for one file.
        """
        path.write_bytes(_proto(model, size, dynamic, metadata, half=half).SerializeToString())

    def quantised(
        self, model: nn.Module, path: Path, *, size: tuple[int, int], dynamic: bool, metadata: Mapping[str, str],
        images: Tensor,
    ) -> Callable[[Floating], int]:
        """Return what writes the file in eight bits, with ranges seen on images.

        Raises:
            ConfigError: as ``export``; the network cannot be quantised.
        """
        make = eight_bits(_proto(model, size, dynamic, metadata), images, input_of(model))

        def write(floating: Floating) -> int:
            made, count = make(floating)
            path.write_bytes(made.SerializeToString())
            return count

        return write

    def load(self, path: Path) -> OnnxFile:
        """Return the file as a callable from image to depth, run by onnxruntime on the CPU."""
        return OnnxFile(path)


class OnnxFile:
    """An ONNX file, run by onnxruntime on the CPU.

    ``batch`` and ``size`` are what the file fixes; None where it leaves them open. ``outputs``: names, depth first.
    """

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            WeightsError: it is no ONNX file, does more than compute, or is not one of image in and depth out.
        """
        self._session = open_onnx(path)
        names = [i.name for i in self._session.get_inputs()], [o.name for o in self._session.get_outputs()]
        self.outputs: tuple[str, ...] = tuple(names[1])
        if names[0] != ["image"] or self.outputs[:1] != ("depth",):
            raise WeightsError(f"'{path}' takes {names[0]} and gives {names[1]}, not image and depth; export it again")
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        self._kind = input_in(self.metadata, path)
        self.batch, self.size = fixed_sides(self._session.get_inputs()[0].shape, path, self._kind)
        self._path = path

    def __call__(self, image: Tensor) -> Tensor:
        """Return depth B x 1 x h x w on the image's device.

        Raises:
            ConfigError, WeightsError: as ``maps_of``.
        """
        return self._run(image, ("depth",))["depth"]

    def all(self, image: Tensor) -> Mapping[str, Tensor]:
        """Return every output by name, on the image's device.

        Raises:
            ConfigError, WeightsError: as ``maps_of``.
        """
        return self._run(image, self.outputs)

    def prepared(self, image: Tensor) -> Callable[[], object]:
        """Return what runs the file once, for measuring: as ``RunFile.prepared``."""
        feed, names = {"image": as_given(image, self._kind).numpy()}, list(self.outputs)
        return lambda: self._session.run(names, feed)

    def _run(self, image: Tensor, names: tuple[str, ...]) -> Mapping[str, Tensor]:
        feed = {"image": as_given(image, self._kind).numpy()}
        return maps_of(self._path, image, names, lambda: self._session.run(list(names), feed))


def _proto(
    model: nn.Module, size: tuple[int, int], dynamic: bool, metadata: Mapping[str, str], *, half: bool = False
) -> Any:
    """Return a model as ONNX, in float32 or in half precision.

    Raises:
        ConfigError: the network cannot be expressed, or is too large for one file.
    """
    weight = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
    if weight > LIMIT:
        raise ConfigError(f"{weight / 1e9:.1f} GB of weights do not fit one ONNX file of 2 GB; use --format pt2")
    program = trace(model, size, dynamic=dynamic)
    with writing(model, "as ONNX", instead="pt2"), torch.no_grad(), silence():
        made = torch.onnx.export(
            program, (), dynamo=True, input_names=["image"], output_names=list(outputs_of(model)), verbose=False
        )
        if made is None:
            raise RuntimeError("the exporter gave nothing back")
        proto = made.model_proto
    _tidy(proto, input_of(model))
    by_factors(proto)
    if half:
        with writing(model, "as ONNX in half precision"):
            proto = in_half(proto)
    for key, value in metadata.items():
        proto.metadata_props.add(key=key, value=value)
    return proto


def _tidy(proto: Any, taken: Input) -> None:
    """Drop what the exporter notes about this machine (paths, traces), and give open dimensions their names."""
    graph = proto.graph
    for item in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del item.metadata_props[:]
    for node in graph.node:
        node.doc_string = ""
    del proto.metadata_props[:]
    shown = [d.dim_param for d in graph.input[0].type.tensor_type.shape.dim]
    called = ("batch", "", "height", "width") if taken == "float" else ("batch", "height", "width", "")
    names = {old: new for old, new in zip(shown, called, strict=True) if old}
    if not names:
        return
    pattern = re.compile(r"\b(" + "|".join(map(re.escape, names)) + r")\b")
    for value in (*graph.input, *graph.output, *graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = pattern.sub(lambda match: names[match[1]], dim.dim_param)
