"""What distilling from a large teacher costs: images a second and peak memory of whole steps, each in its own process.

python benchmarks/teacher_step.py [--teacher adabins] [--student mobilenet] [--sizes 416x544 352x704] [--batch-size 2]
    [--rounds 3] [--device auto] [--out docs/results/teacher-step.json]

A step is teacher, student, loss and backward pass on a batch of simulated rooms. Weights are drawn at random: time and
memory do not depend on them. On a CPU memory is the peak of the whole process, on a GPU that of its tensors.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from kdcli.choosing import choose as configured
from kdcli.devices import choose
from kdcli.plugins import registry
from kdcli.spec import parse_size
from kdcli.students.files import save_student
from kdcli.training.run.dry_run import measure


def random_teacher(spec: str, folder: Path) -> Path:
    """Write a student network with the weights that it begins with as a file that can teach."""
    file = folder / "teacher.safetensors"
    network = registry.build("student", spec)
    save_student(file, network, getattr(network, "architecture", spec), {})
    return file


def one(given: argparse.Namespace) -> dict[str, Any]:
    """Measure one size in this process."""
    device = choose(given.device)
    with tempfile.TemporaryDirectory() as folder:
        file = random_teacher(given.teacher, Path(folder))
        flags = {
            "teachers": (f"run:{file}",), "student": given.student, "size": parse_size(given.sizes[0]),
            "batch_size": given.batch_size, "data": f"sim:rooms,count={given.batch_size}", "eval_data": "none",
        }
        told = measure(configured("plain", flags, twin=False).config, device, given.rounds)
    row = told["stages"][0]
    return {
        "teacher": given.teacher, "student": given.student, "size": given.sizes[0], "batch_size": given.batch_size,
        "images_per_second": given.batch_size / row["seconds_per_step"], "peak_memory_mib": row["memory_mib"],
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(), "torch": torch.__version__,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", default="adabins")
    parser.add_argument("--student", default="mobilenet")
    parser.add_argument("--sizes", nargs="+", default=["416x544", "352x704"])
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(one(given)))
        return
    rows = []
    for size in given.sizes:
        command = [
            sys.executable, __file__, "--child", "--teacher", given.teacher, "--student", given.student,
            "--sizes", size, "--batch-size", str(given.batch_size), "--rounds", str(given.rounds),
            "--device", given.device,
        ]
        rows.append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout))
        row = rows[-1]
        print(
            f"{row['teacher']} -> {row['student']}, {size}, batch {row['batch_size']}, {row['device']}: "
            f"{row['images_per_second']:.3g} images/s, {row['peak_memory_mib']:.0f} MiB"
        )
    if given.out is not None:
        given.out.write_text(json.dumps({"benchmark": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
