"""OpenVINO's intermediate form (``.xml`` with ``.bin``): for Intel's CPUs, GPUs and NPUs.

It is made of the ONNX file: an exported program of a fixed size loses that size on the way into OpenVINO (2026.4.1),
and the file then gives the old map for images of other sizes without a word.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from kdcli.errors import WeightsError
from kdcli.exporters.formats.failing import opening, writing
from kdcli.exporters.formats.onnx import OnnxExporter
from kdcli.exporters.formats.openvino_int8 import condense, without_indentation
from kdcli.exporters.formats.openvino_resize import refuse_what_is_dropped
from kdcli.exporters.formats.packages import needed
from kdcli.exporters.formats.running import RunFile, fixed_sides
from kdcli.exporters.inputs import as_given, input_in
from kdcli.exporters.quantising.floating import Floating
from kdcli.protocols import API_VERSION

_NOTES = "kdcli"
"""Where in the file the metadata lies: ``rt_info/kdcli``."""


class OpenvinoExporter:
    """``--format openvino``: two files, ``small.xml`` and ``small.bin``. Input ``image``, output ``depth``."""

    api_version: ClassVar[int] = API_VERSION
    suffix = ".xml"
    precisions = ("fp32", "fp16", "int8")

    def export(
        self, model: nn.Module, path: Path, *, size: tuple[int, int], dynamic: bool, metadata: Mapping[str, str],
        half: bool = False,
    ) -> None:
        """Write the files. half: weights in half precision, which is OpenVINO's own choice where nothing is said.

        Raises:
            ConfigError: the network cannot be expressed, or the package is missing.
        """
        between = path.with_suffix(".onnx")
        OnnxExporter().export(model, between, size=size, dynamic=dynamic, metadata={})
        _convert(model, between, path, metadata, half=half)

    def quantised(
        self, model: nn.Module, path: Path, *, size: tuple[int, int], dynamic: bool, metadata: Mapping[str, str],
        images: Tensor,
    ) -> Callable[[Floating], int]:
        """Return what writes the files in eight bits, made of the eight-bit ONNX file.

        OpenVINO's own tool for that (nncf 3.4) comes out at twice the mean error and four times the largest on the
        embedded default's student, as it moves biases to suit the calibration images, and takes longer.

        Raises:
            ConfigError: as ``export``; on the call, where the network cannot be quantised.
        """
        between = path.with_suffix(".onnx")
        first = OnnxExporter().quantised(model, between, size=size, dynamic=dynamic, metadata={}, images=images)

        def write(floating: Floating) -> int:
            count = first(floating)
            _convert(model, between, path, metadata, condensed=True)
            without_indentation(path)
            return count

        return write

    def load(self, path: Path) -> OpenvinoFile:
        """Return the file as a callable from image to depth, run by OpenVINO on the CPU."""
        return OpenvinoFile(path)


def _convert(
    model: nn.Module, between: Path, path: Path, metadata: Mapping[str, str], *, half: bool = False,
    condensed: bool = False,
) -> None:
    """Turn an ONNX file into OpenVINO's, and remove it."""
    openvino = needed("openvino", "openvino")
    try:
        with writing(model, "for OpenVINO"):
            refuse_what_is_dropped(model, between)
            graph = openvino.convert_model(os.fspath(between))
            for key, value in metadata.items():
                graph.set_rt_info(value, [_NOTES, key])
            if condensed:
                condense(graph)
            openvino.save_model(graph, os.fspath(path), compress_to_fp16=half)
    finally:
        between.unlink(missing_ok=True)


class OpenvinoFile(RunFile):
    """A pair of ``.xml`` and ``.bin``, run by OpenVINO on the CPU in float32.

    ``batch`` and ``size`` are what the file fixes; None where it leaves them open. ``outputs``: names, depth first.
    """

    def __init__(self, path: Path) -> None:
        """Open the files.

        Raises:
            WeightsError: one is missing, or they hold no network of image in and depth out. ConfigError: the package
                is missing.
        """
        openvino = needed("openvino", "openvino")
        if not path.with_suffix(".bin").is_file():
            raise WeightsError(f"'{path.with_suffix('.bin')}' is missing, which holds the weights of '{path.name}'; "
                               "bring both files along")
        # On newer processors OpenVINO computes in bfloat16 unless told.
        told = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
        with opening(path, "is no network that OpenVINO can run"):
            core = _core(openvino)
            graph = core.read_model(os.fspath(path))
            self.metadata = _notes(graph)
            self._run_it = core.compile_model(graph, "CPU", told)
            names = [_name(one) for one in graph.inputs], [_name(one) for one in graph.outputs]
            shape = [None if side.is_dynamic else side.get_length() for side in graph.inputs[0].partial_shape]
        self.outputs = tuple(names[1])
        if names[0] != ["image"] or self.outputs[:1] != ("depth",):
            raise WeightsError(f"'{path}' takes {names[0]} and gives {names[1]}, not image and depth; export it again")
        self._kind, self.path = input_in(self.metadata, path), path
        self.batch, self.size = fixed_sides(shape, path, self._kind)

    def run(self, image: Tensor) -> Sequence[Tensor]:
        """Return the outputs."""
        given = self._run_it({"image": as_given(image, self._kind).numpy()})
        return [torch.from_numpy(given[name].copy()) for name in self.outputs]

    def prepared(self, image: Tensor) -> Callable[[], object]:
        """Return what runs the file once, for measuring."""
        given = as_given(image, self._kind).numpy()
        request = self._run_it.create_infer_request()
        # Neither the image nor the map is copied, as in an application that owns its memory.
        return lambda: request.infer({"image": given}, share_inputs=True, share_outputs=True)


@functools.cache
def _core(openvino: Any) -> Any:
    """Return the one core of this process, which is never let go.

    A core gives the thread that first compiles with it a stack for signals, and takes it away where the core ends: in
    another thread, as where garbage is collected there, the first one keeps what is gone, and the next signal ends the
    process (2026.4.1).
    """
    return openvino.Core()


def _name(port: Any) -> str:
    return str(port.any_name)


def _notes(graph: Any) -> dict[str, str]:
    if not graph.has_rt_info([_NOTES]):
        return {}
    return {str(key): str(value) for key, value in graph.get_rt_info([_NOTES]).value.items()}
