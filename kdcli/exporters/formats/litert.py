"""LiteRT (``.tflite``): Google's runtime for phones, formerly TensorFlow Lite.

Height, width and batch are fixed: its converter does not take them open (0.10). The layout stays as it is in PyTorch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from kdcli.errors import ConfigError, WeightsError
from kdcli.exporters.formats.failing import opening, writing
from kdcli.exporters.formats.litert_int8 import eight_bits
from kdcli.exporters.formats.native import quiet
from kdcli.exporters.formats.packages import needed
from kdcli.exporters.formats.running import RunFile, fixed_sides
from kdcli.exporters.inputs import as_given, example, input_in, input_of
from kdcli.exporters.quantising.floating import Floating
from kdcli.exporters.sidecar import outputs_in, read_sidecar, write_sidecar
from kdcli.exporters.trace import network_of
from kdcli.protocols import API_VERSION

_EXTRA = "litert"


class LitertExporter:
    """``--format litert``: ``small.tflite`` with ``small.tflite.json``; one image of one size."""

    api_version: ClassVar[int] = API_VERSION
    suffix = ".tflite"
    precisions = ("fp32", "fp16", "int8")

    def export(
        self, model: nn.Module, path: Path, *, size: tuple[int, int], dynamic: bool, metadata: Mapping[str, str],
        half: bool = False,
    ) -> None:
        """Write the files. half: weights in half precision, which its GPU delegate computes in.

        Raises:
            ConfigError: open sizes are asked for, the network cannot be expressed, or a package is missing.
        """
        if dynamic:
            raise ConfigError("LiteRT files take one size")
        converter = needed("litert_torch", _EXTRA)
        network = network_of(model)
        with writing(model, "for LiteRT"), torch.no_grad(), quiet():
            converter.convert(network, (example(input_of(model), 1, size),)).export(os.fspath(path))
            if half:
                path.write_bytes(_halves(path))
        write_sidecar(path, metadata, batch=1, size=size)

    def quantised(
        self, model: nn.Module, path: Path, *, size: tuple[int, int], dynamic: bool, metadata: Mapping[str, str],
        images: Tensor,
    ) -> Callable[[Floating], int]:
        """Return what writes the files in eight bits, with ranges seen on images; it is converted once.

        Raises:
            ConfigError: as ``export``; the network cannot be quantised.
        """
        self.export(model, path, size=size, dynamic=dynamic, metadata=metadata)
        with writing(model, "for LiteRT in eight bits"), quiet():
            make = eight_bits(path.read_bytes(), images, input_of(model))

        def write(floating: Floating) -> int:
            with writing(model, "for LiteRT in eight bits"), quiet():
                content, count = make(floating)
                path.write_bytes(content)
            write_sidecar(path, metadata, batch=1, size=size)
            return count

        return write

    def load(self, path: Path) -> LitertFile:
        """Return the file as a callable from image to depth, run by LiteRT on the CPU."""
        return LitertFile(path)


def _halves(path: Path) -> bytes:
    """Return a file with the weights of its layers in half precision."""
    quantizer = needed("ai_edge_quantizer.quantizer", _EXTRA)
    kinds = needed("ai_edge_quantizer.qtyping", _EXTRA)
    known = needed("ai_edge_quantizer.algorithm_manager", _EXTRA)
    weights = kinds.TensorQuantizationConfig(num_bits=16, dtype=kinds.TensorDataType.FLOAT)
    work = quantizer.Quantizer(os.fspath(path))
    work.update_quantization_recipe(
        regex=".*", operation_name=kinds.TFLOperationName.ALL_SUPPORTED,
        op_config=kinds.OpQuantizationConfig(weight_tensor_config=weights, explicit_dequantize=True,
                                             compute_precision=kinds.ComputePrecision.FLOAT),
        algorithm_key=known.AlgorithmName.FLOAT_CASTING,
    )
    return bytes(work.quantize().quantized_model)


class LitertFile(RunFile):
    """A ``.tflite`` file, run by LiteRT on the CPU, one image of its ``size`` at a time."""

    batch = 1

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            WeightsError: it, or what belongs to it, is missing, or holds no network of image in and depth out.
                ConfigError: the package is missing.
        """
        interpreter = needed("ai_edge_litert.interpreter", _EXTRA)
        self.metadata, _, _ = read_sidecar(path)
        self._kind, self.path = input_in(self.metadata, path), path
        self.outputs = outputs_in(self.metadata)
        with opening(path, "is no network that LiteRT can run"), quiet():
            self._runs = interpreter.Interpreter(os.fspath(path), num_threads=torch.get_num_threads())
            self._runs.allocate_tensors()
        taken, given = self._runs.get_input_details(), self._runs.get_output_details()
        if len(taken) != 1 or len(given) != len(self.outputs):
            raise WeightsError(f"'{path}' takes {len(taken)} tensors and gives {len(given)}, not an image and "
                               f"{', '.join(self.outputs)}; export it again")
        self._in, self._out = int(taken[0]["index"]), [int(one["index"]) for one in given]
        _, self.size = fixed_sides([int(side) for side in taken[0]["shape"]], path, self._kind)

    def run(self, image: Tensor) -> Sequence[Tensor]:
        """Return the outputs."""
        self._runs.set_tensor(self._in, as_given(image, self._kind).numpy())
        self._runs.invoke()
        return [torch.from_numpy(self._runs.get_tensor(index).copy()) for index in self._out]

    def prepared(self, image: Tensor) -> Callable[[], object]:
        """Return what runs the file once, for measuring: the image is copied in, as the runtime wants it."""
        given = as_given(image, self._kind).numpy()

        def once() -> object:
            self._runs.set_tensor(self._in, given)
            return self._runs.invoke()

        return once
