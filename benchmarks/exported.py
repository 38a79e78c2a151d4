"""Exported forms of a network beside the ONNX file that PyTorch's exporter writes of it as it is trained.

python benchmarks/exported.py [--networks mobilenet timm:mobileone_s0] [--formats onnx openvino ...] [--int8]
    [--size 240x320] [--rounds 31] [--out docs/results/exported.json]

plain    of the network with its branches, sizes open, run by onnxruntime: what a plain call of torch.onnx.export gives
FORMAT   what `kdcli export` writes, at one size; ``onnx, open`` leaves the sizes open

Processor time on one thread, all in turn within a round; ``ratio`` is the median over rounds of a form over ``plain``.
``--int8`` adds what the format's exporter writes in eight bits, where it can; that is faster on processors with
instructions for it alone (VNNI), and the report names the processor's.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kdcli.devices import int8_instructions
from kdcli.errors import KdcliError
from kdcli.exporters import export
from kdcli.exporters.endings import ENDINGS
from kdcli.exporters.formats.onnx import OnnxFile
from kdcli.exporters.gate.pictures import synthetic
from kdcli.exporters.trace import silence, trace
from kdcli.plugins import registry
from kdcli.protocols import Exporter
from kdcli.spec import parse_size

NETWORKS = ("mobilenet", "timm:mobileone_s0")
FORMATS = ("onnx", "openvino", "ncnn", "executorch", "litert")
INT8 = ("onnx",)
Call = Callable[[Tensor], Tensor]
File = tuple[Call, int]
"""How an exported file is run, and its bytes."""


def plain(model: nn.Module, path: Path, size: tuple[int, int]) -> File:
    """Write a network as it is trained, and return how its file is run and its bytes."""
    with torch.no_grad(), silence():
        made = torch.onnx.export(trace(model, size, dynamic=True), (), dynamo=True, input_names=["image"],
                                 output_names=["depth"], verbose=False)
    assert made is not None
    made.save(path)
    return OnnxFile(path), path.stat().st_size


def written(model: nn.Module, form: str, folder: Path, name: str, **more: Any) -> File:
    """Write a network as kdcli exports it, and return how its file is run and its bytes."""
    ending = next(ending for ending, known in ENDINGS.items() if known == form)
    report = export(model, form, folder / f"{name}{ending}", **more)
    exporter: Exporter = registry.build("exporter", form)
    return exporter.load(report.path), report.bytes


def forms(network: str, formats: list[str], folder: Path, size: tuple[int, int], int8: bool) -> dict[str, File]:
    """Return the ways of running a network by their names, ``plain`` first."""
    torch.manual_seed(0)
    model = registry.build("student", network).eval()
    found = {"plain": plain(model, folder / "plain.onnx", size)}
    asked: list[tuple[str, str, dict[str, Any]]] = [(form, form, {}) for form in formats]
    if "onnx" in formats:
        asked.insert(0, ("onnx, open", "onnx", {"size": None}))
    if int8:
        asked += [(f"{form}, int8", form, {"precision": "int8"}) for form in INT8 if form in formats]
    for number, (name, form, more) in enumerate(asked):
        try:
            found[name] = written(model, form, folder, f"n{number}", **{"size": size, **more})
        except KdcliError as error:
            print(f"{network}, {name}: {error}", flush=True)
    return found


def compare(network: str, given: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a row for each form of a network."""
    image = synthetic(1, given.size)
    with tempfile.TemporaryDirectory() as folder:
        calls = forms(network, given.formats, Path(folder), given.size, given.int8)
        spent: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(given.rounds + 1):
            for name, (call, _) in calls.items():
                begin = time.process_time()
                call(image)
                spent[name].append(time.process_time() - begin)
    rows = []
    for name, (_, size) in calls.items():
        ratios = [one / two for one, two in zip(spent[name][1:], spent["plain"][1:], strict=True)]
        low, _, high = statistics.quantiles(ratios, n=4)
        rows.append({
            "network": network, "form": name, "size": f"{given.size[0]}x{given.size[1]}", "bytes": size,
            "ms": 1000 * statistics.median(spent[name][1:]), "ratio": statistics.median(ratios),
            "ratio_quartiles": [low, high], "rounds": given.rounds,
        })  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS))
    parser.add_argument("--int8", action="store_true")
    parser.add_argument("--size", type=parse_size, default=(240, 320))
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = [row for network in given.networks for row in compare(network, given)]
    for row in rows:
        low, high = row["ratio_quartiles"]
        print(f"{row['network']:24}{row['form']:14}{row['bytes'] / 1e6:7.2f} MB {row['ms']:8.2f} ms  ratio "
              f"{row['ratio']:.2f} [{low:.2f}, {high:.2f}]")  # fmt: skip
    processor = torch.cpu.get_capabilities().get("cpu_name", "unknown")
    print(f"{processor}, for int8: {', '.join(int8_instructions() or ('nothing',))}, torch {torch.__version__}")
    if given.out is not None:
        facts = {"processor": processor, "int8": int8_instructions(), "torch": torch.__version__}
        given.out.write_text(json.dumps({"exported": rows, **facts}, indent=1) + "\n")


if __name__ == "__main__":
    main()
