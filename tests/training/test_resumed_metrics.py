"""What is written down of a run is the same however often it was stopped."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kdcli.config import RunConfig
from kdcli.training.loop.train import StepLog
from kdcli.training.run.folder import RunFolder
from kdcli.training.run.job import distill, resumable
from kdcli.training.run.progress import Silent


class Listener(Silent):
    """Keeps the numbers of the steps that are shown; asks the process to stop at one, as Ctrl-C does."""

    def __init__(self, stop: int | None = None) -> None:
        self.steps: list[int] = []
        self._stop = stop

    def step(self, log: StepLog) -> None:
        self.steps.append(log.step)
        if log.step == self._stop:
            os.kill(os.getpid(), signal.SIGINT)


def _written(run: Path) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "images_per_second"}
            for row in RunFolder(run).metrics()]


def test_metrics_and_verdict_of_a_run_that_was_stopped(
    tiny: Callable[..., RunConfig], tmp_path: Path, teacher_file: Path
) -> None:
    config = tiny("log_every=3", f"teachers=['run:{teacher_file}']", steps=12)
    whole, split = tmp_path / "whole", tmp_path / "split"
    shown = Listener()
    distill(config, out=whole, progress=shown)
    assert shown.steps == [1, 3, 6, 9, 12]
    for stop in (3, 6):
        with pytest.raises(KeyboardInterrupt):
            distill(config if stop == 3 else resumable(split), out=split if stop == 3 else None,
                    resume=None if stop == 3 else split, progress=Listener(stop))
    last = Listener()
    distill(resumable(split), resume=split, progress=last)
    assert last.steps == [7, 9, 12]  # where it goes on is shown at once, and not written down
    assert _written(split) == _written(whole)
    assert [row["step"] for row in _written(split)] == [1, 3, 6, 9, 12]
    verdicts = [RunFolder(run).manifest()["scale"] for run in (split, whole)]
    assert verdicts[0] == verdicts[1] and verdicts[0]
