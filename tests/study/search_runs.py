"""A tiny study with ranges, and runs of it that train nothing: what they come to follows from their settings alone."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kdcli.config import RunConfig
from kdcli.errors import TrainingError
from kdcli.evals.metrics import NAMES
from kdcli.evals.protocol import find
from kdcli.files import write_json
from kdcli.training.run.folder import RunFolder
from kdcli.training.run.job import RunResult

TUNED = """
[study]
name = "tuned"
metrics = ["abs_rel"]
eval_data = "sim:rooms,count=3,seed=7"
seeds = [0]
recipe = "plain"
set = { teacher = "ground-truth", student = "mobilenet,width=0.35,max_depth=10", size = "32x64", batch_size = 2, data = "sim:blocks,count=4", steps = "{steps}", lr = "{lr}" }

[search]
data = "sim:rooms,count=3,seed=9"
trials = 4
reduction = 2

[variables]
steps = { default = 8 }
lr = { about = "learning rate", default = 0.5, range = [1e-4, 1.0], log = true }

[[arm]]
name = "only"
"""  # noqa: E501


def error_of(config: RunConfig) -> float:
    """What a run comes to: best at a learning rate of 0.01, and the better the longer."""
    return abs(math.log10(config.main.lr) + 2) + 1 / (config.main.steps or 1)


def without_training(
    made: list[tuple[str, int]], fails: Callable[[RunConfig], bool] = lambda config: False
) -> Callable[..., RunResult]:
    """Return what stands in for ``distill``; it lists folder and steps of the runs that it makes."""

    def distill(config: RunConfig, *, out: Path | None, resume: Path | None, **_: Any) -> RunResult:
        run = RunFolder.open(resume) if resume is not None else RunFolder.create(Path(out or ""), config, {})
        made.append((str(run.path), config.main.steps or 0))
        if fails(config):
            raise TrainingError("the loss is not a number at step 1")
        protocol, value = find(config.protocol), error_of(config)
        names = [f"{config.eval_data}/{i}" for i in range(3)]
        measured = {"metrics": dict.fromkeys(NAMES, value), "ci95": {}, "n": 3, "spec": config.eval_data,
                    "protocol": {"name": protocol.name, "hash": protocol.hash}}  # fmt: skip
        write_json(run.path / "eval" / "results.json", {"student": measured})
        with (run.path / "eval" / "per_image.csv").open("w", newline="") as stream:
            table = csv.writer(stream)
            table.writerow(["model", "image", "pixels", *NAMES, "skipped"])
            table.writerows(["student", name, 100, *[value] * len(NAMES), ""] for name in names)
        run.update(state="finished", eval={"student": measured})
        return RunResult(run=run.path, student=run.student, steps=1, seconds=0.0, eval={"student": measured})

    return distill
