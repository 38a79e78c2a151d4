"""ExecuTorch (``.pte``): PyTorch's own runtime for phones and boards, through XNNPACK.

The size is fixed: with open sizes the resizing of maps leaves XNNPACK (1.5.1), and what runs without XNNPACK takes many
times as long.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from kdcli.errors import ConfigError, WeightsError
from kdcli.exporters.formats.executorch_int8 import eight_bits
from kdcli.exporters.formats.failing import opening, writing
from kdcli.exporters.formats.native import quiet
from kdcli.exporters.formats.packages import needed
from kdcli.exporters.formats.running import RunFile
from kdcli.exporters.inputs import as_given, example, input_in, input_of
from kdcli.exporters.quantising.floating import Floating
from kdcli.exporters.sidecar import outputs_in, read_sidecar, write_sidecar
from kdcli.exporters.trace import network_of
from kdcli.protocols import API_VERSION

_EXTRA = "executorch"


class ExecutorchExporter:
    """``--format executorch``: ``small.pte`` with ``small.pte.json``; one image of one size."""

    api_version: ClassVar[int] = API_VERSION
    suffix = ".pte"
    precisions = ("fp32", "int8")

    def export(
        self, model: nn.Module, path: Path, *, size: tuple[int, int], dynamic: bool, metadata: Mapping[str, str]
    ) -> None:
        """Write the files.

        Raises:
            ConfigError: open sizes are asked for, the network cannot be expressed, or a package is missing.
        """
        _require_fixed(dynamic)
        network = network_of(model)
        with writing(model, "for ExecuTorch"), torch.no_grad(), quiet():
            _write(torch.export.export(network, (example(input_of(model), 1, size),)), path)
        write_sidecar(path, metadata, batch=1, size=size)

    def quantised(
        self, model: nn.Module, path: Path, *, size: tuple[int, int], dynamic: bool, metadata: Mapping[str, str],
        images: Tensor,
    ) -> Callable[[Floating], int]:
        """Return what writes the files in eight bits, with ranges seen on images.

        Raises:
            ConfigError: as ``export``; on the call, where the network cannot be quantised.
        """
        _require_fixed(dynamic)
        network, kind = network_of(model), input_of(model)

        def write(floating: Floating) -> int:
            with writing(model, "for ExecuTorch in eight bits"), torch.no_grad(), quiet():
                program, count = eight_bits(network, example(kind, 1, size), images, kind, floating)
                _write(program, path)
            write_sidecar(path, metadata, batch=1, size=size)
            return count

        return write

    def load(self, path: Path) -> ExecutorchFile:
        """Return the file as a callable from image to depth, run by ExecuTorch on the CPU."""
        return ExecutorchFile(path)


def _require_fixed(dynamic: bool) -> None:
    if dynamic:
        raise ConfigError("ExecuTorch files take one size")


def _write(program: torch.export.ExportedProgram, path: Path) -> None:
    """Write a program, as much of it as XNNPACK takes given to that."""
    exir = needed("executorch.exir", _EXTRA)
    xnnpack = needed("executorch.backends.xnnpack.partition.xnnpack_partitioner", _EXTRA)
    edge = exir.to_edge_transform_and_lower(program, partitioner=[xnnpack.XnnpackPartitioner()])
    path.write_bytes(edge.to_executorch().buffer)


class ExecutorchFile(RunFile):
    """A ``.pte`` file, run by ExecuTorch on the CPU, one image of its ``size`` at a time."""

    batch = 1

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            WeightsError: it, or what belongs to it, is missing, or holds no network of image in and depth out.
                ConfigError: the package is missing.
        """
        runtime = needed("executorch.runtime", _EXTRA)
        _share_threads(needed("executorch.extension.pybindings.portable_lib", _EXTRA))
        self.metadata, _, self.size = read_sidecar(path)
        self._kind, self.path = input_in(self.metadata, path), path
        self.outputs = outputs_in(self.metadata)
        with opening(path, "is no program that ExecuTorch can run"), quiet():
            self._program = runtime.Runtime.get().load_program(os.fspath(path))
            self._method = self._program.load_method("forward")
            taken = self._method.metadata.input_tensor_meta(0).sizes()
        _open.add(self)
        wanted = example(self._kind, 1, self.size or (1, 1)).shape
        if tuple(taken) != tuple(wanted):
            shown = ["x".join(map(str, sides)) for sides in (taken, wanted)]
            raise WeightsError(f"'{path}' takes {shown[0]}, not {shown[1]} as its .json says; export it again")

    def run(self, image: Tensor) -> Sequence[Tensor]:
        """Return the outputs."""
        with quiet():
            return [one.clone() for one in self._method.execute([as_given(image, self._kind)])]

    def prepared(self, image: Tensor) -> Callable[[], object]:
        """Return what runs the file once, for measuring."""
        given = [as_given(image, self._kind)]
        return lambda: self._method.execute(given)


def _share_threads(library: Any) -> None:
    """Let ExecuTorch work with as many threads as PyTorch, where no file is open that counts on those it has.

    It has one set of threads for the whole process, one for each core unless told (1.5.1).
    """
    wanted = torch.get_num_threads()
    with quiet():  # it logs what it finds of the processor
        if not _open and library._threadpool_get_thread_count() != wanted:
            library._unsafe_reset_threadpool(wanted)


_open: weakref.WeakSet[ExecutorchFile] = weakref.WeakSet()
