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
from kdcli.exporters.formats.failing import opening, writing
from kdcli.exporters.formats.native import quiet
from kdcli.exporters.formats.packages import needed
from kdcli.exporters.formats.running import RunFile
from kdcli.exporters.inputs import as_given, example, input_in, input_of
from kdcli.exporters.sidecar import outputs_in, read_sidecar, write_sidecar
from kdcli.exporters.trace import network_of
from kdcli.protocols import API_VERSION

_EXTRA = "executorch"


class ExecutorchExporter:
    """``--format executorch``: ``small.pte`` with ``small.pte.json``; one image of one size."""

    api_version: ClassVar[int] = API_VERSION
    suffix = ".pte"

    def export(
        self, model: nn.Module, path: Path, *, size: tuple[int, int], dynamic: bool, metadata: Mapping[str, str]
    ) -> None:
        """Write the files.

        Raises:
            ConfigError: open sizes are asked for, the network cannot be expressed, or a package is missing.
        """
        if dynamic:
            raise ConfigError("ExecuTorch files take one size")
        exir = needed("executorch.exir", _EXTRA)
        xnnpack = needed("executorch.backends.xnnpack.partition.xnnpack_partitioner", _EXTRA)
        network = network_of(model)
        with writing(model, "for ExecuTorch"), torch.no_grad(), quiet():
            program = torch.export.export(network, (example(input_of(model), 1, size),))
            edge = exir.to_edge_transform_and_lower(program, partitioner=[xnnpack.XnnpackPartitioner()])
            content = edge.to_executorch().buffer
        path.write_bytes(content)
        write_sidecar(path, metadata, batch=1, size=size)

    def load(self, path: Path) -> ExecutorchFile:
        """Return the file as a callable from image to depth, run by ExecuTorch on the CPU."""
        return ExecutorchFile(path)


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
