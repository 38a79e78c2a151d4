"""The runs of a study that are not there yet, taken one by one, by one process or by several of several machines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kdcli.claims import Claims, Seen
from kdcli.errors import TrainingError
from kdcli.locks import owner, put_away
from kdcli.study.cells import Job, looked_at_again
from kdcli.study.fits import fitted
from kdcli.study.grid import Study
from kdcli.training.loop.train import StepLog
from kdcli.training.run.progress import Progress

LOOK_EVERY = 2.0
"""Seconds between two looks at what others are at."""


class Queue:
    """Which run is next, and what became of those that were taken."""

    def __init__(self, todo: Sequence[Job], study: Study, out: Path, claims: Claims, progress: Progress) -> None:
        self.count = len(todo)
        self.elsewhere = 0
        """Runs that other processes did since."""
        self.failed: list[str] = []
        """Title and reason of each that could not go on, here or in another process."""
        self._left = list(todo)
        self._study, self._out, self._claims, self._progress = study, out, claims, progress
        self._before = {job.cell.key: _ended_before(claims.look(job.cell.key)) for job in todo}
        self._mine: set[str] = set()
        self._told: list[str] = []

    def take(self) -> Job | None:
        """Return a run that nobody does; None where there is none now.

        Raises:
            ConfigError, DataError: what lies in its folder is in its way.
        """
        for job in self._in_order():
            key = job.cell.key
            if key in self._mine or self._ended_elsewhere(job) or _still_run(self._out / job.folder):
                continue
            claim = self._claims.take(key)
            if claim is None:
                continue
            now = looked_at_again(job, self._study, self._out)
            if now.state == "finished":
                self._claims.ended(key, "finished")
                self._end(job)
                continue
            if claim.after is not None:
                who = f"process {claim.after.pid} of machine '{claim.after.host}'"
                self._progress.note(f"{job.title}: {who} ended in the middle of it")
                put_away(self._out / now.folder, claim.after.host)
            self._mine.add(key)
            return now
        return None

    def ended(self, job: Job, error: TrainingError | None = None) -> None:
        """Say what became of a run that was taken."""
        key = job.cell.key
        self._mine.discard(key)
        if not self._claims.ended(key, "finished" if error is None else "failed", str(error or "")):
            return  # whoever has it now says what becomes of it
        self._left = [one for one in self._left if one.cell.key != key]
        if error is not None:
            self.failed.append(f"{job.title}: {error}")

    def lost(self, job: Job) -> bool:
        """Whether another process took over a run of this one, which it had not heard of for long."""
        return self._claims.lost(job.cell.key)

    def others(self) -> bool:
        """Whether runs are left that only others are at work on; that is said whenever it is news."""
        waited = [job.title for job in self._left if job.cell.key not in self._mine]
        if waited and waited != self._told and not self._mine:
            more = f" and {len(waited) - 1} more" if len(waited) > 1 else ""
            self._progress.note(f"other processes are at work on {waited[0]}{more}; waiting for them")
            self._told = waited
        return bool(waited)

    def _in_order(self) -> list[Job]:
        """Return what is left; a run that could take over a network which another is about to fit comes later."""
        mine = {job.folder for job in self._left if job.cell.key in self._mine}

        def later(job: Job) -> bool:
            begun = any(folder in mine or (self._out / folder).is_dir() for folder in job.fits_alike)
            return begun and fitted(self._out, job.fits_alike) is None

        return sorted(self._left, key=later)

    def _ended_elsewhere(self, job: Job) -> bool:
        """Whether another process did a run since, or tried to."""
        seen = self._claims.look(job.cell.key)
        if seen.number <= self._before[job.cell.key] or seen.end not in ("finished", "failed"):
            return False
        if seen.end == "failed":
            self.failed.append(f"{job.title}: {seen.why}")
            self._left.remove(job)
        else:
            self._end(job)
        return True

    def _end(self, job: Job) -> None:
        self._left.remove(job)
        self.elsewhere += 1


class Held:
    """Progress of a run that ends where another process took it over."""

    def __init__(self, progress: Progress, queue: Queue, job: Job) -> None:
        self._progress, self._queue, self._job = progress, queue, job

    def note(self, message: str) -> None:
        """Pass it on."""
        self._progress.note(message)

    def step(self, log: StepLog) -> None:
        """Pass it on.

        Raises:
            TrainingError: the run is another process's by now.
        """
        self._progress.step(log)
        if self._queue.lost(self._job):
            raise taken_over()

    def count(self, what: str, done: int, total: int) -> None:
        """Pass it on."""
        self._progress.count(what, done, total)


def taken_over() -> TrainingError:
    """Return why a run does not go on here."""
    return TrainingError("this process was not heard of for so long that another one took the run over")


def _still_run(folder: Path) -> bool:
    """Whether a process of this machine is at work on a run, such as the worker of a process that was just killed."""
    who = owner(folder)
    return who is not None and who.here and not who.gone


def _ended_before(seen: Seen) -> int:
    """Return the number of the last claim that had ended: what it came to is no news."""
    return seen.number - 1 if seen.held else seen.number
