"""A step of training beside its networks alone, a plain eager loop and torchdistill's: three pairs, one CPU thread.

python benchmarks/step_loops.py [--rounds 15] [--only MFF] [--tiny] [--out docs/results/step-loops.json]

Of each pair a step of recipe ``plain`` takes turns with the other loops, as in ``kdcli bench --recipe``, with a teacher
that is asked and with one whose depth was kept before; ratios are of processor time, round by round. Weights are those
that networks begin with, which changes no time. torchdistill's loop, where the package is installed, asks its teacher
in either case, since it keeps no answer. ``--only`` takes the pairs that have the text in their name.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from teacher_step import random_teacher

from kdcli.benching.step import bench_step
from kdcli.choosing import choose as configured

PAIRS = {
    "demo -> mobilenet": ("demo", "mobilenet", (96, 128), 8),
    "MFF ResNet-34 -> MobileNetV2": ("mff,backbone=resnet34", "mff,backbone=mobilenet_v2", (228, 304), 2),
    "AdaBins -> mobilenet": ("adabins", "mobilenet", (240, 320), 2),
}
TINY = {"mobilenet": ("mobilenet,width=0.5", "mobilenet,width=0.35", (32, 48), 2)}


def measured(
    teacher: str, student: str, size: tuple[int, int], batch: int, rounds: int, folder: Path, *, kept: bool
) -> dict[str, Any]:
    """Return what ``kdcli bench --recipe`` tells of one pair."""
    taught_by = teacher if teacher == "demo" else f"run:{random_teacher(teacher, folder)}"
    flags = {
        "teachers": (taught_by,), "student": student, "size": size, "batch_size": batch,
        "data": f"sim:rooms,count={4 * batch}", "eval_data": "none",
    }
    settings = ("teacher_cache=memory",) if kept else ()
    config = configured("plain", flags, settings, twin=False).config
    return bench_step(config, "cpu", rounds=rounds, threads=1).document()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", default="")
    parser.add_argument("--tiny", action="store_true", help="small networks, to see that it runs")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    rows = []
    for name, pair in (TINY if given.tiny else PAIRS).items():
        if given.only not in name:
            continue
        live = None
        for kept in (False, True):
            with tempfile.TemporaryDirectory() as folder:
                told = measured(*pair, given.rounds, Path(folder), kept=kept)
            step = told["loops"]["step"]["processor_ms"]["median"]
            live = live or step
            rows.append({**told, "pair": name, "teacher": "kept" if kept else "asked", "of_live": step / live})
            ratios = ", ".join(
                f"{key} {value['median']:.3f} {[round(one, 3) for one in value['quartiles']]}"
                for key, value in told["ratios"].items()
            )
            print(f"{name}, teacher {rows[-1]['teacher']}: {step:.0f} ms, {step / live:.3f} of asked; over {ratios}",
                  flush=True)
    try:
        torchdistill = version("torchdistill")
    except PackageNotFoundError:
        torchdistill = None
    if given.out is not None:
        document = {"step_loops": rows, "torch": torch.__version__, "torchdistill": torchdistill}
        given.out.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
