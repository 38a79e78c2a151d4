"""Work through a study's grid, one run after the other.

Whatever stops it leaves a state that the same call goes on from: finished runs are kept, one under way goes on from its
last checkpoint. A run whose loss is no longer a number costs only itself; the report names it.

::

    OUT/study.toml            the study as it was given
    OUT/study.json            variables, seeds, cells and their folders
    OUT/cells/ARM/nCOUNT/seedS   run folders
    OUT/teachers/KEY/         the teachers, measured once: results.json, per_image.csv
    OUT/report.md, .json, .html, plot-METRIC.png
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from kdcli.errors import TrainingError
from kdcli.files import write_json, write_text
from kdcli.study.cells import Job, jobs
from kdcli.study.grid import Study
from kdcli.study.teachers import measure_teachers
from kdcli.training.environment import environment
from kdcli.training.feed import RenderCache
from kdcli.training.job import Progress, RunResult, Silent, distill
from kdcli.training.loop import StepLog
from kdcli.training.parts import Workshop
from kdcli.training.runs import only_one


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a call came to."""

    ran: int
    kept: int
    """Runs that were finished before."""
    failed: tuple[str, ...] = ()
    """Title and reason of each run that could not go on."""


def run_study(
    study: Study, out: Path, *, device: torch.device | str = "cpu", progress: Progress | None = None
) -> Outcome:
    """Run what is not there yet.

    Raises:
        ConfigError: another process works on the folder, or a cell holds a run with other settings.
        KdcliError: whatever a run refuses; all arms are checked before the first step.
        KeyboardInterrupt: asked to stop; the same call goes on.
    """
    progress = progress or Silent()
    wanted = [job for job in jobs(study, out) if job.wanted]
    todo = [job for job in wanted if job.state != "finished"]
    _refuse_early(todo, torch.device(device))
    out.mkdir(parents=True, exist_ok=True)
    failed = []
    with only_one(out):
        _tidy(out)
        _write_down(study, out)
        measure_teachers([job.cell.config for job in wanted], out, torch.device(device), progress)
        cache = RenderCache()
        for number, job in enumerate(todo, start=1):
            progress.note(f"[{number}/{len(todo)}] {job.title}{': going on' if job.state == 'begun' else ''}")
            try:
                result = _run(job, out, device, _Within(progress, job.cell.title), cache)
            except TrainingError as error:
                failed.append(f"{job.title}: {error}")
                progress.note(f"[{number}/{len(todo)}] failed: {error}")
                continue
            found = result.eval["student"]["metrics"]
            told = ", ".join(f"{metric} {found[metric]:.4f}" for metric in study.metrics if found[metric] is not None)
            progress.note(f"[{number}/{len(todo)}] {told}, {result.seconds:.0f} s")
    return Outcome(ran=len(todo) - len(failed), kept=len(wanted) - len(todo), failed=tuple(failed))


def _run(job: Job, out: Path, device: torch.device | str, progress: Progress, cache: RenderCache) -> RunResult:
    folder = out / job.folder
    begun = job.state == "begun"
    return distill(
        job.cell.config,
        out=None if begun else folder,
        resume=folder if begun else None,
        device=device,
        progress=progress,
        cache=cache,
        measure_teachers=False,
    )


def _refuse_early(todo: Sequence[Job], device: torch.device) -> None:
    """Build what each arm names once, so that nothing is refused after hours."""
    seen: set[tuple[str, int | None]] = set()
    for job in todo:
        if (job.cell.arm, job.cell.count) not in seen:
            seen.add((job.cell.arm, job.cell.count))
            shop = Workshop(config=job.cell.config, device=device)
            shop.preflight(shop.student()[0])


def _tidy(out: Path) -> None:
    """Remove what a killed process left of folders that it was making."""
    for left in (out / "cells").glob("**/.seed*.*"):
        shutil.rmtree(left, ignore_errors=True)


def _write_down(study: Study, out: Path) -> None:
    write_text(out / "study.toml", study.text)
    write_json(
        out / "study.json",
        {
            **environment(),
            "name": study.name,
            "variables": dict(study.variables),
            "seeds": study.seeds,
            "counts": study.counts,
            "cells": [
                {"arm": c.arm, "count": c.count, "seed": c.seed, "run": str(job.folder), "key": c.key}
                for job in jobs(study, out)
                for c in job.cells
            ],
        },
    )


class _Within:
    """Progress of one run of a study: its words with the name of the run before them."""

    def __init__(self, progress: Progress, title: str) -> None:
        self._progress, self._title = progress, title

    def note(self, message: str) -> None:
        """Pass on what begins or ended."""
        self._progress.note(f"  {self._title}: {message}")

    def step(self, log: StepLog) -> None:
        """Pass on a training step."""
        self._progress.step(log)

    def count(self, what: str, done: int, total: int) -> None:
        """Pass on how far a countable job is."""
        self._progress.count(what, done, total)
