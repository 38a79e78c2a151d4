"""Work through a study's grid, one run after the other or several at a time.

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

import contextlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from kdcli.config.sizes import check_workers
from kdcli.drafts import clean
from kdcli.errors import TrainingError
from kdcli.files import write_json, write_text
from kdcli.locks import only_one
from kdcli.study.attempt import attempt, headline
from kdcli.study.cells import Job, jobs
from kdcli.study.grid import Study
from kdcli.study.pool import run_in_processes
from kdcli.study.teachers import measure_teachers
from kdcli.training.batches.render_cache import RenderCache
from kdcli.training.run.environment import environment
from kdcli.training.run.job import RunResult
from kdcli.training.run.preflight import preflight
from kdcli.training.run.progress import Progress, Silent
from kdcli.training.run.workshop import Workshop


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a call came to."""

    ran: int
    kept: int
    """Runs that were finished before."""
    failed: tuple[str, ...] = ()
    """Title and reason of each run that could not go on."""


def run_study(
    study: Study,
    out: Path,
    *,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
    processes: int = 1,
) -> Outcome:
    """Run what is not there yet.

    processes: how many runs at a time; above 1 each is in a process of its own, so a script that calls this must be
    importable (``if __name__ == "__main__":``).

    Raises:
        ConfigError: another process works on the folder, or a cell holds a run with other settings.
        KdcliError: whatever a run refuses; all arms are checked before the first step.
        KeyboardInterrupt: asked to stop; the same call goes on.
    """
    progress = progress or Silent()
    check_workers(processes, f"--jobs {processes}")
    wanted = [job for job in jobs(study, out) if job.wanted]
    todo = [job for job in wanted if job.state != "finished"]
    _refuse_early(todo, torch.device(device))
    out.mkdir(parents=True, exist_ok=True)
    failed = []
    with only_one(out):
        clean(out)
        _write_down(study, out)
        measure_teachers([job.cell.config for job in wanted], out, torch.device(device), progress)
        working = (
            run_in_processes(todo, out, processes=processes, device=torch.device(device), progress=progress)
            if processes > 1 and len(todo) > 1
            else _one_by_one(todo, out, device, progress)
        )
        with contextlib.closing(working):
            for number, job, result in working:
                if isinstance(result, TrainingError):
                    failed.append(f"{job.title}: {result}")
                    progress.note(f"[{number}/{len(todo)}] {job.title} failed: {result}")
                    continue
                found = result.eval["student"]["metrics"]
                told = ", ".join(f"{name} {found[name]:.4f}" for name in study.metrics if found[name] is not None)
                progress.note(f"[{number}/{len(todo)}] {told}, {result.seconds:.0f} s")
    return Outcome(ran=len(todo) - len(failed), kept=len(wanted) - len(todo), failed=tuple(failed))


def _one_by_one(
    todo: Sequence[Job], out: Path, device: torch.device | str, progress: Progress
) -> Generator[tuple[int, Job, RunResult | TrainingError]]:
    """Yield number, job and what became of it."""
    cache = RenderCache()
    for number, job in enumerate(todo, start=1):
        progress.note(headline(number, len(todo), job))
        try:
            result: RunResult | TrainingError = attempt(job, out, device, progress, cache)
        except TrainingError as error:
            result = error
        yield number, job, result


def _refuse_early(todo: Sequence[Job], device: torch.device) -> None:
    """Build what each arm names once, so that nothing is refused after hours."""
    seen: set[tuple[str, int | None]] = set()
    for job in todo:
        if (job.cell.arm, job.cell.count) not in seen:
            seen.add((job.cell.arm, job.cell.count))
            shop = Workshop(config=job.cell.config, device=device)
            preflight(shop, shop.student()[0])


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
