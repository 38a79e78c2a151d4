"""One run of a study: begun, or gone on with where it was stopped."""

from __future__ import annotations

from pathlib import Path

import torch

from kdcli.devices import keep_freed_memory
from kdcli.study.cells import Job
from kdcli.study.fits import fitted
from kdcli.training.batches.render_cache import RenderCache
from kdcli.training.loop.train import StepLog
from kdcli.training.run.job import RunResult, distill
from kdcli.training.run.progress import Progress


def attempt(job: Job, out: Path, device: torch.device | str, progress: Progress, cache: RenderCache) -> RunResult:
    """Do a run of the study in folder ``out``.

    Raises:
        TrainingError: it cannot go on, which is no reason to stop the others. KdcliError: whatever else a run refuses.
        KeyboardInterrupt: asked to stop; the state was saved.
    """
    if torch.device(device).type == "cpu":
        keep_freed_memory()
    folder = out / job.folder
    begun = job.state == "begun"
    return distill(
        job.cell.config,
        out=None if begun else folder,
        resume=folder if begun else None,
        device=device,
        progress=_Within(progress, job.cell.title),
        cache=cache,
        measure_teachers=False,
        loggers=job.cell.config.loggers,
        fitted=None if begun else fitted(out, job.fits_alike),
    )


def headline(number: int, of: int, job: Job) -> str:
    """Return what is said when a run begins."""
    return f"[{number}/{of}] {job.title}{': going on' if job.state == 'begun' else ''}"


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
