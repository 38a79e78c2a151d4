"""Backbones of timm as students: a step of training, an ONNX file through the gate, and its time beside mobilenet's.

python benchmarks/backbones.py [--backbones NAME ...] [--size 240x320] [--rounds 30] [--threads 1] [--files DIR]
    [--out docs/results/backbones.json]

Weights are those that a student begins with; time does not depend on them. Files that are in DIR already are not
written again, so that the same command goes on where it was stopped. What counts are the ratios of processor time:
files are measured in turn, and other programs of the machine slow all of them alike.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import re
import tempfile
from pathlib import Path
from typing import Any

import timm
import torch

from kdcli.benching import bench
from kdcli.config import load
from kdcli.errors import KdcliError
from kdcli.exporters import export
from kdcli.files import write_json
from kdcli.plugins import registry
from kdcli.recipes import read
from kdcli.spec import parse_size
from kdcli.training.run.dry_run import measure

FIRST = "mobilenet"
_LIGHT = """
    mobilenetv4_conv_small mobilenetv4_conv_small_050 mobilenetv4_conv_medium mobilenetv3_small_050
    mobilenetv3_small_100 mobilenetv3_large_100 mobilenetv2_100 mobilenetv1_100 mobilenet_edgetpu_v2_xs lcnet_050
    lcnet_100 lcnetv2_small tinynet_d tinynet_e mnasnet_small semnasnet_075 efficientnet_lite0 ghostnet_100
    ghostnetv3_100 hgnetv2_b0 resnet10t regnetx_002 ese_vovnet19b_slim_dw mobileone_s0 repvit_m0_9 repghostnet_050
    fastvit_t8 efficientvit_b0 lowformer_b0 cpubone_nano cpubone_b0_bfrobust starnet_s050 starnet_s1 fasternet_t0
    shvit_s1 edgenext_xx_small mobilevitv2_050 iformer_t swiftformer_xs efficientformerv2_s0 efficientvim_m1
    convnext_atto csatv2
"""
BACKBONES = _LIGHT.split()
"""Light ones of every kind that the release has: convolutions alone, branches that fold, with attention, newer ones."""


def trained(spec: str) -> None:
    """Do a step of plain distillation from the bundled teacher.

    Raises:
        KdcliError: it cannot be done, or its loss is no number.
    """
    flags = {"student": spec, "size": (96, 128), "batch_size": 2, "data": "sim:rooms,count=2", "eval_data": None}
    measure(load(*read("plain"), flags), torch.device("cpu"), 1)


def prepared(name: str, size: tuple[int, int], folder: Path) -> dict[str, Any]:
    """Return the row of a backbone, made in a process of its own: tracing many networks in one may crash it."""
    beside = folder / f"{name}.json"
    for _ in range(2):
        if not beside.is_file():
            process = multiprocessing.get_context("fork").Process(target=prepare, args=(name, size, folder))
            process.start()
            process.join()
    if not beside.is_file():
        return {"backbone": name, "failed": "exported", "reason": f"the process ended with {process.exitcode}"}
    return dict(json.loads(beside.read_text()))


def prepare(name: str, size: tuple[int, int], folder: Path) -> None:
    """Train a step and write the file, and a row beside it; what went wrong is part of the row."""
    spec = name if name == FIRST else f"timm:{name}"
    path = folder / f"{name}.onnx"
    torch.manual_seed(0)
    row: dict[str, Any] = {"backbone": name, "failed": None, "reason": None}
    stage = "trained"
    try:
        trained(spec)
        stage = "exported"
        network = registry.build("student", spec).eval()
        row["trained_parameters"] = sum(one.numel() for one in network.parameters())
        report = export(network, "onnx", path, size=size)
        assert report.worst is not None
        row["difference"] = report.worst.relative
    except KdcliError as error:
        # What a plugin's author is told, and where a file lies, is of no use in a table.
        row |= {"failed": stage, "reason": re.sub(r"\s+", " ", str(error)).replace(str(folder), "")[:300]}
    write_json(path.with_suffix(".json"), row)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", nargs="+", default=BACKBONES)
    parser.add_argument("--size", type=parse_size, default="240x320")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--files", type=Path)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.files or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        torch.set_num_threads(given.threads)
        rows = []
        for name in [FIRST, *given.backbones]:
            rows.append(prepared(name, given.size, folder))
            print(name, rows[-1]["reason"] or f"{rows[-1]['difference']:.1e}", flush=True)
        sound = [row for row in rows if row["failed"] is None]
        report = bench([str(folder / f"{row['backbone']}.onnx") for row in sound], threads=given.threads,
                       rounds=given.rounds, memory=False)
    for row, found in zip(sound, report.rows, strict=True):
        told = found.document()
        row |= {key: told[key] for key in ("processor_ratio", "processor_ms", "bytes", "parameters", "multiply_adds")}
        print(f"{row['backbone']}: {row['processor_ratio']['median']:.3f} {row['processor_ratio']['quartiles']}")
    result = {
        "rows": rows, "size": "{}x{}".format(*given.size), "threads": report.threads, "rounds": report.rounds,
        "machine": report.machine, "runtime": report.rows[0].runtime, "torch": torch.__version__,
        "timm": timm.__version__,
    }
    if given.out is not None:
        write_json(given.out, {"backbones": result})


if __name__ == "__main__":
    main()
