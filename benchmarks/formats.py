"""Every network beside every format: written, run by its format's runtime, and how far it is from the network.

python benchmarks/formats.py [--networks mobilenet ...] [--formats onnx ...] [--precision fp16] [--size 64x96]
    [--out docs/results/formats.json]

Weights are random, the same for every format. With ``--out`` what the file has already is kept, and what was asked for
is measured anew; it is written after every cell, since all of them take the better part of an hour.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kdcli.errors import KdcliError
from kdcli.exporters import export
from kdcli.exporters.endings import ENDINGS
from kdcli.plugins import registry
from kdcli.spec import parse_size

NETWORKS = ("mobilenet", "timm:mobilenetv4_conv_small", "fastdepth", "guidedepth", "midas-small", "mff", "tie-kd",
            "zipdepth")  # fmt: skip
FORMATS = ("onnx", "pt2", "openvino", "ncnn", "executorch", "litert", "coreml")
PACKAGES = ("torch", "onnxruntime", "openvino", "ncnn", "pnnx", "executorch", "litert-torch", "ai-edge-litert",
            "coremltools")  # fmt: skip


def untrained(network: str) -> nn.Module:
    """Return a network with random weights; norms that begin at zero are drawn too, since a converter may fold away
    what is multiplied by nothing.
    """
    torch.manual_seed(0)
    model: nn.Module = registry.build("student", network).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("weight") and parameter.dim() == 1 and not parameter.any():
            nn.init.uniform_(parameter, 0.2, 0.4)
    return model


def cell(network: str, form: str, precision: Any, size: tuple[int, int]) -> dict[str, Any]:
    """Write one file and return what became of it."""
    model = untrained(network)
    row: dict[str, Any] = {"network": network, "format": form, "precision": precision, "size": f"{size[0]}x{size[1]}"}
    ending = next(ending for ending, name in ENDINGS.items() if name == form)
    with tempfile.TemporaryDirectory() as folder:
        try:
            report = export(model, form, Path(folder, f"student{ending}"), size=size, precision=precision)
        except KdcliError as error:
            return row | {"why": str(error)}
    if report.worst is None or any(one.flat for one in report.drift):
        return row | {"why": "; ".join(report.notes), "bytes": report.bytes}
    return row | {"relative": report.worst.relative, "abs_rel": max(one.abs_rel for one in report.drift),
                  "largest_abs_rel": max(one.largest_abs_rel for one in report.drift), "bytes": report.bytes}


def versions() -> dict[str, str]:
    """Return the releases that files were written with."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS))
    parser.add_argument("--precision", choices=("fp32", "fp16"), default="fp32")
    parser.add_argument("--size", type=parse_size, default=(64, 96))
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    kept = json.loads(given.out.read_text())["formats"] if given.out is not None and given.out.is_file() else []
    rows = {(row["network"], row["format"], row["precision"]): row for row in kept}
    for network in given.networks:
        for form in given.formats:
            row = cell(network, form, given.precision, given.size)
            rows[network, form, given.precision] = row
            told = row.get("why") or f"{row['relative']:.1e} relative, AbsRel {row['abs_rel']:.1e}"
            print(f"{network:30}{form:12}{row.get('bytes', 0) / 1e6:7.2f} MB  {told}", flush=True)
            if given.out is not None:
                found = {"formats": list(rows.values()), "versions": versions()}
                given.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
