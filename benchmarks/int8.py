"""How far eight-bit files are from their networks, how much smaller than files in float32, and what stays in float.

::

    python benchmarks/int8.py [--out docs/results/int8.json] [--endings .onnx,.xml] NAME=MODEL ...

A MODEL is what ``kdcli export`` takes, or ``student:SPEC`` for a network as it is built, untrained, under seed 0. Each
is calibrated and judged on what ``kdcli export`` takes where no ``--images`` are given. A file that is refused is a row
with its reason. Rows of an earlier run stay, other models and endings are added.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import torch

from kdcli.deploying.images import simulated
from kdcli.errors import KdcliError
from kdcli.exporters import export
from kdcli.exporters.writing import tried_at
from kdcli.models import load_model
from kdcli.plugins import registry

ENDINGS = (".onnx", ".xml", ".tflite", ".pte")


def measured(model: torch.nn.Module, named: str, ending: str) -> dict[str, Any]:
    """Write a network in eight bits and in float32, and return the figures, or why there are none."""
    shown = simulated(model, named, tried_at(model, None))
    with tempfile.TemporaryDirectory() as folder:
        try:
            whole = export(model, None, Path(folder, f"float{ending}"), verify=False)
            report = export(model, None, Path(folder, f"int8{ending}"), int8=True, images=shown)
        except KdcliError as error:
            return {"refused": str(error)}
    return {
        "mean_abs_rel": max(drift.abs_rel for drift in report.drift),
        "largest_abs_rel": max(drift.largest_abs_rel for drift in report.drift),
        "size": report.bytes / whole.bytes, "bytes": report.bytes, "notes": list(report.notes),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", metavar="NAME=MODEL")
    parser.add_argument("--endings", default=",".join(ENDINGS))
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    rows = json.loads(asked.out.read_text())["int8"] if asked.out and asked.out.exists() else {}
    for ending in asked.endings.split(","):
        for text in asked.models:
            name, _, named = text.partition("=")
            torch.manual_seed(0)
            spec = named.removeprefix("student:")
            model = load_model(named) if spec == named else registry.build("student", spec).eval()
            row = measured(model, named if spec == named else "teacher:none", ending)
            rows.setdefault(name, {})[ending] = row
            print(name, ending, json.dumps(row), flush=True)
            if asked.out:
                asked.out.write_text(json.dumps({"int8": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
