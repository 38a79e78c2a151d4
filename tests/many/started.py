"""``kdcli`` in one process, or in several as ``torchrun`` starts them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

TINY = (
    "distill", "--teacher", "demo", "--student", "mobilenet,width=0.35", "--steps", "20", "--size", "32x48",
    "--batch-size", "4", "--no-twin", "--eval-data", "none", "--device", "cpu", "--set", "log_every=1", "--set",
    "export=none", "-q",
)
"""A run of 20 steps."""


def environment() -> dict[str, str]:
    """Return one without what another start of processes left in it."""
    ours = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    return {**{k: v for k, v in os.environ.items() if k not in ours}, "OMP_NUM_THREADS": "1", "KDCLI_OFFLINE": "1"}


def command(processes: int, *program: str) -> list[str]:
    """Return how a Python program is started in so many processes that find one another on this machine."""
    if processes == 1:
        return [sys.executable, *program]
    return [
        sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", *program,
    ]


def started(processes: int, *program: str, folder: Path, code: int = 0) -> str:
    """Run a Python program to its end and return what it said; its exit code has to be as told."""
    done = subprocess.run(
        command(processes, *program), cwd=folder, env=environment(), capture_output=True, text=True, timeout=600,
        check=False,
    )
    assert done.returncode == code, done.stderr[-3000:]
    return done.stdout + done.stderr


def steps_of(run: Path) -> list[dict[str, Any]]:
    """Return what a run logged of its steps."""
    return [json.loads(row) for row in (run / "metrics.jsonl").read_text().splitlines()]


def apart(one: Path, other: Path) -> float:
    """Return how far apart two runs are: the largest relative difference of losses and terms that they logged.

    The norm of a gradient says more of where absolute values have their kinks.
    """
    besides = ("images_per_second", "grad_norm")
    rows = list(zip(steps_of(one), steps_of(other), strict=True))
    assert rows
    return max(
        abs(mine[key] - theirs[key]) / max(abs(mine[key]), 1e-3)
        for mine, theirs in rows for key in mine if isinstance(mine[key], float) and key not in besides
    )
