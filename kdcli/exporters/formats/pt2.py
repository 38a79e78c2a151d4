"""PyTorch's own exported program (``.pt2``): for its C++ and Python runtimes and ahead-of-time compilers."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from kdcli.errors import WeightsError
from kdcli.exporters.formats.failing import opening, writing
from kdcli.exporters.formats.running import RunFile, fixed_sides
from kdcli.exporters.inputs import as_given, input_in
from kdcli.exporters.trace import silence, trace
from kdcli.files import is_lfs_pointer
from kdcli.guard.archive import NOTES, read_archive
from kdcli.protocols import API_VERSION


class Pt2Exporter:
    """``--format pt2``: a ``torch.export`` archive."""

    api_version: ClassVar[int] = API_VERSION
    suffix = ".pt2"

    def export(
        self, model: nn.Module, path: Path, *, size: tuple[int, int], dynamic: bool, metadata: Mapping[str, str]
    ) -> None:
        """Write the file.

        Raises:
            ConfigError: the network cannot be traced or written.
        """
        program = trace(model, size, dynamic=dynamic)
        content = io.BytesIO()  # torch's own writer aborts the process when the disk is full
        with writing(model, "as pt2"), silence():
            notes = {NOTES.removeprefix("extra/"): json.dumps(dict(metadata))}
            torch.export.save(program, content, extra_files=notes)
        path.write_bytes(content.getbuffer())

    def load(self, path: Path) -> Pt2File:
        """Return the file as a callable from image to depth, run by PyTorch."""
        return Pt2File(path)


class Pt2File(RunFile):
    """A ``.pt2`` file, run by PyTorch on the CPU.

    ``batch`` and ``size`` are what the file fixes; None where it leaves them open. ``outputs``: names, depth first.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, unless it holds what could run code.

        Raises:
            WeightsError: it is missing, no such archive, unsafe, or not one of image in and depth out.
        """
        if not path.is_file() or is_lfs_pointer(path):
            raise WeightsError(f"'{path}' is no exported file; check the path, or run `git lfs pull` in its repository")
        archive, self.metadata = read_archive(path)
        self.path = path
        with opening(path, "is no exported program to be run"):
            with silence():
                program = torch.export.load(archive)
            shape = next(n.meta["val"].shape for n in program.graph.nodes if (n.op, n.name) == ("placeholder", "image"))
            self._module = program.module()
            count = len(program.graph_signature.user_outputs)
        self._kind = input_in(self.metadata, path)
        self.batch, self.size = fixed_sides(shape, path, self._kind)
        self.outputs = _outputs(self.metadata, count, path)

    def run(self, image: Tensor) -> Sequence[Tensor]:
        """Return the outputs."""
        with torch.no_grad():
            given = self._module(as_given(image, self._kind))
        return given if isinstance(given, tuple | list) else (given,)

    def prepared(self, image: Tensor) -> Callable[[], object]:
        """Return what runs the file once, for measuring."""
        given = as_given(image, self._kind)

        def once() -> object:
            with torch.no_grad():
                return self._module(given)

        return once


def _outputs(notes: Mapping[str, str], count: int, path: Path) -> tuple[str, ...]:
    """Return the names of what a program gives, as its metadata says.

    Raises:
        WeightsError: it gives another number of them, or no depth.
    """
    said = notes.get("outputs", '["depth"]')
    try:
        names = json.loads(said)
    except (ValueError, RecursionError):
        names = None
    if names not in (["depth"], ["depth", "std", "entropy"]) or len(names) != count:
        raise WeightsError(f"'{path}' says that its outputs are {said[:60]}, which does not fit it; export it again")
    return tuple(names)
