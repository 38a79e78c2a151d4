"""ncnn (``.ncnn.param`` with ``.ncnn.bin``): for phones and boards, with Vulkan where there is any.

pnnx traces the network and writes eight files, of which ncnn reads two; it works in a folder of its own.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from kdcli.errors import ConfigError, WeightsError
from kdcli.exporters.formats.failing import writing
from kdcli.exporters.formats.native import quiet
from kdcli.exporters.formats.packages import needed
from kdcli.exporters.formats.running import RunFile
from kdcli.exporters.inputs import as_given, example, input_in, input_of
from kdcli.exporters.sidecar import read_sidecar, write_sidecar
from kdcli.exporters.trace import called, network_of, outputs_of
from kdcli.protocols import API_VERSION


class NcnnExporter:
    """``--format ncnn``: ``small.ncnn.param``, ``small.ncnn.bin`` and, since the format has no place for metadata,
    ``small.ncnn.param.json``. Input ``in0``, output ``out0``, one image at a time, float32, RGB in 0..1.
    """

    api_version: ClassVar[int] = API_VERSION
    suffix = ".param"
    precisions = ("fp32", "fp16")

    def export(
        self, model: nn.Module, path: Path, *, size: tuple[int, int], dynamic: bool, metadata: Mapping[str, str],
        half: bool = False,
    ) -> None:
        """Write the files. half: weights in half precision.

        Raises:
            ConfigError: the network cannot be expressed, or a package is missing.
        """
        pnnx = needed("pnnx", "ncnn")
        if outputs_of(model) != ("depth",) or input_of(model) != "float":
            raise ConfigError("ncnn files take float images and give depth alone; its own Mat::from_pixels takes bytes")
        network = network_of(model)
        second: dict[str, Any] = {}
        if dynamic:  # pnnx takes for open what differs between two inputs
            second["inputs2"] = example("float", 1, (size[0] + 64, size[1] + 32))
        with tempfile.TemporaryDirectory() as folder:
            made = Path(folder, "m.ncnn.param")
            with writing(model, "for ncnn"), quiet():
                first = example("float", 1, size)
                pnnx.export(network, os.fspath(Path(folder, "m.pt")), first, fp16=half, **second)
            if not made.is_file():
                raise ConfigError(f"pnnx wrote nothing for {called(model)}; use --format onnx")
            unknown = _unknown(made)
            if unknown:
                raise ConfigError(f"ncnn has no {', '.join(unknown)}, which {called(model)} needs; "
                                  "use --format onnx")
            path.write_bytes(made.read_bytes())
            path.with_suffix(".bin").write_bytes(made.with_suffix(".bin").read_bytes())
        write_sidecar(path, metadata, batch=1, size=None if dynamic else size,
                      parts=[path.with_suffix(".bin")])

    def load(self, path: Path) -> NcnnFile:
        """Return the file as a callable from image to depth, run by ncnn on the CPU."""
        return NcnnFile(path)


class NcnnFile(RunFile):
    """A pair of ``.param`` and ``.bin``, run by ncnn on the CPU in float32, one image at a time.

    ``size`` is what the sidecar says: ncnn itself takes any image, and gives wrong maps for what the file was not
    made for; ``refuses`` says so.
    """

    batch = 1
    refuses = False

    def __init__(self, path: Path) -> None:
        """Open the files.

        Raises:
            WeightsError: one is missing, or they hold no network. ConfigError: the package is missing.
        """
        self._ncnn = needed("ncnn", "ncnn")
        self.metadata, _, self.size = read_sidecar(path)
        if input_in(self.metadata, path) != "float":
            raise WeightsError(f"'{path}' says that it takes bytes, which no ncnn file does; export it again")
        self.path, net = path, self._ncnn.Net()
        for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
            setattr(net.opt, option, False)
        net.opt.num_threads = torch.get_num_threads()
        with quiet():
            failed = net.load_param(os.fspath(path)) or net.load_model(os.fspath(path.with_suffix(".bin")))
        if failed:
            raise WeightsError(f"'{path}' is no network that ncnn can run; export it again")
        self._net = net

    def run(self, image: Tensor) -> Sequence[Tensor]:
        """Return the depth.

        Raises:
            RuntimeError: more than one image, or of another size than the file was made for, which ncnn would take.
        """
        if len(image) != 1 or (self.size is not None and tuple(image.shape[-2:]) != self.size):
            taken = "any size" if self.size is None else f"{self.size[0]}x{self.size[1]}"
            raise RuntimeError(f"it takes one image of {taken}")
        fed = as_given(image, "float")[0].numpy()
        with self._net.create_extractor() as running:
            running.input("in0", self._ncnn.Mat(fed).clone())
            failed, out = running.extract("out0")
            if failed:
                raise RuntimeError(f"ncnn answers {failed}")
            return [torch.tensor(out.numpy().copy())[None]]

    def prepared(self, image: Tensor) -> Callable[[], object]:
        """Return what runs the file once, for measuring."""
        given = self._ncnn.Mat(as_given(image, "float")[0].numpy()).clone()

        def once() -> object:
            with self._net.create_extractor() as running:
                running.input("in0", given)
                return running.extract("out0")

        return once


def _unknown(param: Path) -> list[str]:
    """Return the operators that pnnx left as they were, which ncnn does not have."""
    found = {line.split()[0] for line in param.read_text(encoding="utf-8").splitlines()[2:] if line.strip()}
    return sorted(name for name in found if name.partition(".")[0] in ("aten", "pnnx", "torch", "nn", "F", "prim"))
