"""Work through a study's grid, one run after the other or several at a time, alone or beside others that share it.

Whatever stops it leaves a state that the same call goes on from: finished runs are kept, one under way goes on from its
last checkpoint. A run whose loss is no longer a number costs only itself; the report names it.

::

    OUT/study.toml            the study as it was given
    OUT/study.json            variables, seeds, cells and their folders
    OUT/cells/ARM/nCOUNT/seedS   run folders
    OUT/teachers/KEY/         the teachers, measured once: results.json, per_image.csv
    OUT/claims/               which process is at what; gone when all is done
    OUT/report.md, .json, .html, plot-METRIC.png
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from kdcli.claims import FOLDER, Claims
from kdcli.config.sizes import check_workers
from kdcli.drafts import clean, owning, remove_of
from kdcli.errors import TrainingError
from kdcli.files import write_json, write_text
from kdcli.study.attempt import attempt, headline
from kdcli.study.cells import Job, jobs
from kdcli.study.grid import Study
from kdcli.study.pool import run_in_processes
from kdcli.study.queue import LOOK_EVERY, Held, Queue
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
    elsewhere: int = 0
    """Runs that other processes did in the meantime."""
    failed: tuple[str, ...] = ()
    """Title and reason of each run that could not go on."""


def run_study(
    study: Study,
    out: Path,
    *,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
    processes: int = 1,
    teachers: bool = True,
) -> Outcome:
    """Run what is not there yet and what no other process runs; return when nothing is left, by whomever it was done.

    processes: how many runs at a time; above 1 each is in a process of its own, so a script that calls this must be
    importable (``if __name__ == "__main__":``). teachers: whether they are measured too.

    Raises:
        ConfigError: a cell holds a run with other settings.
        KdcliError: whatever a run refuses; all arms are checked before the first step.
        KeyboardInterrupt: asked to stop; the same call goes on.
    """
    progress = progress or Silent()
    check_workers(processes, f"--jobs {processes}")
    wanted = [job for job in jobs(study, out) if job.wanted]
    todo = [job for job in wanted if job.state != "finished"]
    refuse_early(todo, torch.device(device))
    out.mkdir(parents=True, exist_ok=True)
    ran, configs = 0, [job.cell.config for job in wanted] if teachers else []
    with Claims(out / FOLDER) as claims:
        clean(out)
        _write_down(study, out)
        queue = Queue(todo, study, out, claims, progress)
        measure_teachers(configs, out, torch.device(device), progress, claims)
        working = (
            run_in_processes(queue, out, processes=processes, device=torch.device(device), progress=progress)
            if processes > 1 and len(todo) > 1
            else _one_by_one(queue, out, device, progress)
        )
        with contextlib.closing(working):
            for number, job, result in working:
                failed = result if isinstance(result, TrainingError) else None
                queue.ended(job, failed)
                if isinstance(result, TrainingError):
                    progress.note(f"[{number}/{queue.count}] {job.title} failed: {result}")
                    continue
                ran += 1
                found = result.eval["student"]["metrics"]
                told = ", ".join(f"{name} {found[name]:.4f}" for name in study.metrics if found[name] is not None)
                progress.note(f"[{number}/{queue.count}] {told}, {result.seconds:.0f} s")
        if not measure_teachers(configs, out, torch.device(device), progress, claims):
            progress.note("another process measures the teachers; waiting for it")
            while not measure_teachers(configs, out, torch.device(device), progress, claims):
                time.sleep(LOOK_EVERY)
    return Outcome(ran=ran, kept=len(wanted) - len(todo), elsewhere=queue.elsewhere, failed=tuple(queue.failed))


@contextlib.contextmanager
def alone(out: Path, what: str) -> Iterator[None]:
    """Keep other processes that share a folder from doing something while the block does, which is waited for."""
    with Claims(out / FOLDER) as claims:
        while (claim := claims.take(what)) is None:
            time.sleep(LOOK_EVERY / 10)
        if claim.after is not None:
            remove_of(out, claim.after)
        with owning(out, claim.require):
            yield
        claims.ended(what, "finished")


@contextlib.contextmanager
def alone_with_tables(study: Study, out: Path) -> Iterator[None]:
    """Keep other processes of a study from writing its tables while the block does."""
    with alone(out, "tables"):
        _write_down(study, out)  # another process may have run a cell in the folder of one that does the same
        yield


def _one_by_one(
    queue: Queue, out: Path, device: torch.device | str, progress: Progress
) -> Generator[tuple[int, Job, RunResult | TrainingError]]:
    """Yield number, job and what became of it."""
    cache, number = RenderCache(), 0
    while (job := queue.take()) is not None or queue.others():
        if job is None:
            time.sleep(LOOK_EVERY)
            continue
        number += 1
        progress.note(headline(number, queue.count, job))
        try:
            result: RunResult | TrainingError = attempt(job, out, device, Held(progress, queue, job), cache)
        except TrainingError as error:
            result = error
        yield number, job, result


def refuse_early(todo: Sequence[Job], device: torch.device) -> None:
    """Build what each arm of these runs names once, so that nothing is refused after hours."""
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
