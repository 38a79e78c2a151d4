"""Peak memory of a training step with a method, beside that of plain distillation at the same size.

python plugins/kdcli-zoo/benchmarks/memory.py [--recipes similarity relational] [--size 352x704] [--batch-size 8]
    [--steps 2] [--device cpu] [--out memory.json]

Each recipe is run in a process of its own: its own teacher, student and losses, as many steps as asked for in its last
stage, no twin, no evaluation, no export. On a CPU the number is the most memory that the process ever held (its peak
resident set) less that of one which trains plain at 64x96 with one image: interpreter, libraries and networks are in
that. On a GPU it is what PyTorch allocated at most.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

MIB = 2**20
IDLE = {"recipe": "plain", "size": "64x96", "batch_size": 1}


def main() -> None:
    """Measure plain and the recipes, or be the process that trains one."""
    arguments = options()
    if arguments.child:
        say(json.dumps(train(json.loads(arguments.child))))
        return
    common = {"size": arguments.size, "batch_size": arguments.batch_size}
    shared = {"steps": arguments.steps, "device": arguments.device}
    idle = measured({**IDLE, **shared}) if arguments.device == "cpu" else 0.0
    rows: list[dict[str, Any]] = []
    for recipe in ("plain", *arguments.recipes):
        mib = measured({"recipe": recipe, **common, **shared}) - idle
        share = mib / (rows[0]["mib"] if rows else mib)
        rows.append({"recipe": recipe, "mib": round(mib, 1), "of_plain": round(share, 3)})
        say(f"{recipe:16} {mib:9.1f} MiB  {share:6.3f} of plain")
    if arguments.out is not None:
        document = {**common, **shared, "idle_mib": round(idle, 1), "rows": rows}
        arguments.out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def options() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="*", default=["similarity", "relational"])
    parser.add_argument("--size", default="352x704")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


def measured(job: dict[str, Any]) -> float:
    """Return the peak of a job in MiB, from a process of its own."""
    # Freed blocks of this size go back to the system at once, so that the peak is of what is held.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(2**18)}
    done = subprocess.run(
        [sys.executable, __file__, "--child", json.dumps(job)], stdout=subprocess.PIPE, text=True, check=True,
        env=environment,
    )
    return float(json.loads(done.stdout.splitlines()[-1])["mib"])


def train(job: dict[str, Any]) -> dict[str, float]:
    """Train and return the peak in MiB."""
    import resource

    import torch

    import kdcli

    config = kdcli.configure(
        job["recipe"], twin=False, data=f"sim:blocks,count={job['batch_size'] * 2}", size=job["size"],
        batch_size=job["batch_size"], steps=job["steps"], eval_data="none", export="none",
    )
    with tempfile.TemporaryDirectory() as folder:
        kdcli.distill(config, out=Path(folder) / "run", device=job["device"])
    if torch.device(job["device"]).type == "cuda":
        return {"mib": torch.cuda.max_memory_allocated() / MIB}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"mib": peak / MIB if sys.platform == "darwin" else peak / 1024}


def say(text: str) -> None:
    """Write a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
