"""Core ML (``.mlpackage``): for iPhones, iPads and Macs from iOS 16 and macOS 13 on.

It is made of the exported program, at one size: with open sizes the conversion fails, and so do traces beside numpy 2.4
(coremltools 9.0). Nothing but a Mac runs such a file; elsewhere it is read back, and its operators are followed one by
one (``kdcli.exporters.mil``).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from kdcli.errors import ConfigError
from kdcli.exporters.formats.coreml_file import CoremlFile
from kdcli.exporters.formats.failing import writing
from kdcli.exporters.formats.native import quiet
from kdcli.exporters.formats.packages import needed
from kdcli.exporters.inputs import TakesBytes, example, input_of
from kdcli.exporters.trace import network_of, outputs_of
from kdcli.protocols import API_VERSION


def _entropy_terms(p: Tensor) -> Tensor:
    """Return ``-p log p``; below what half precision can tell from zero, with the logarithm there."""
    return -p * torch.log(p.clamp(min=2.0**-24))


def _parts(x: Tensor, split_size: int, dim: int = 0) -> list[Tensor]:
    """Return parts along an axis; coremltools does not take parts that are longer than the whole."""
    length = int(x.shape[dim])
    return [x.narrow(dim, first, min(split_size, length - first)) for first in range(0, length, split_size)]


def _gelu(x: Tensor, *, approximate: str = "none") -> Tensor:
    """Return it by its formula, which coremltools knows again; the operator it writes as exact, whichever it is."""
    if approximate == "tanh":
        return 0.5 * x * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x.pow(3))))
    return 0.5 * x * (1 + torch.erf(x * 2**-0.5))


def _reciprocal(x: Tensor) -> Tensor:
    """Return one over it by a division; coremltools writes ``1 / (x + 1e-4)`` for the operator itself."""
    return torch.ones([1] * x.ndim, dtype=x.dtype) / x if x.ndim else x.pow(-1.0)


APART = {
    torch.ops.aten.special_entr.default: _entropy_terms, torch.ops.aten.split.Tensor: _parts,
    torch.ops.aten.gelu.default: _gelu, torch.ops.aten.reciprocal.default: _reciprocal,
}
"""Operators that coremltools does not know, or not in all that they may be given, taken apart."""


class CoremlExporter:
    """``--format coreml``: ``small.mlpackage``, a folder; one image of one size. Input ``image``, output ``depth``.

    With ``--input uint8`` the input is an image of Core ML (RGB, 0 to 255), which takes a camera's buffer; without, an
    array 1 x 3 x H x W of float32 in 0..1. Outputs are arrays of float32 in either case.
    """

    api_version: ClassVar[int] = API_VERSION
    suffix = ".mlpackage"
    precisions = ("fp32", "fp16")

    def export(
        self, model: nn.Module, path: Path, *, size: tuple[int, int], dynamic: bool, metadata: Mapping[str, str],
        half: bool = False,
    ) -> None:
        """Write the package. half: weights and what is computed between them in half precision.

        Raises:
            ConfigError: open sizes are asked for, the network cannot be expressed, or the package is missing.
        """
        if dynamic:
            raise ConfigError("Core ML files take one size")
        tools = needed("coremltools", "coreml")
        bare = model.model if isinstance(model, TakesBytes) else model
        network, shape = network_of(bare), (1, 3, *size)
        taken: dict[str, Any] = {}
        if input_of(model) == "uint8":
            taken["inputs"] = [tools.ImageType(name="image", shape=shape, scale=1 / 255,
                                               color_layout=tools.colorlayout.RGB)]
        given = [tools.TensorType(name=name, dtype=np.float32) for name in outputs_of(model)]
        bits = tools.precision.FLOAT16 if half else tools.precision.FLOAT32
        with writing(model, "for Core ML"), torch.no_grad(), quiet():
            program = torch.export.export(network, (example("float", 1, size),)).run_decompositions(APART)
            made = tools.convert(
                program, convert_to="mlprogram", outputs=given, compute_precision=bits, skip_model_load=True,
                minimum_deployment_target=tools.target.iOS16, **taken,
            )
            _describe(made, metadata, outputs_of(model))
            made.save(os.fspath(path))
        for stray in path.glob("*.json"):  # notes of the converter for another tool, with names of its variables
            if stray.name != "Manifest.json":
                stray.unlink()

    def load(self, path: Path) -> CoremlFile:
        """Return the file as a callable from image to depth: run by Core ML on a Mac, followed elsewhere."""
        return CoremlFile(path)


def _describe(made: Any, metadata: Mapping[str, str], outputs: tuple[str, ...]) -> None:
    """Write what Xcode shows of a model, and all that is known of it."""
    unit = metadata.get("unit", "")
    said = {"depth": f"{metadata.get('depth_kind', 'depth')}{f' in {unit}' if unit else ''}, 1 x 1 x h x w"}
    said |= {"std": "standard deviation of depth", "entropy": "how undecided it is, 0..1"}
    made.input_description["image"] = f"{metadata.get('image', 'RGB in 0..1')}, {metadata.get('size', 'one size')}"
    for name in outputs:
        made.output_description[name] = said[name]
    made.short_description = f"Monocular depth, {metadata.get('depth_kind', '')}, written by kdcli"
    made.license = metadata.get("licence", "")
    made.user_defined_metadata.update(metadata)
