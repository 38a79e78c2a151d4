"""Several runs of a study at a time, each in a process of its own.

Small networks on small images leave a machine half idle: the cores of a CPU wait for one another, a GPU waits for the
host. A process keeps its imports and its rendered images from run to run, and has its share of the CPU's threads; of
several GPUs each has one. The processes stand in groups of their own, so that Ctrl-C reaches the parent alone, which
asks each of them once to stop: a run under way writes its checkpoint. They stop likewise when the parent is gone.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType

import torch

from kdcli import interrupts
from kdcli.errors import TrainingError
from kdcli.study.attempt import attempt, headline
from kdcli.study.cells import Job
from kdcli.study.queue import LOOK_EVERY, Queue, taken_over
from kdcli.training.batches.render_cache import CACHE_BYTES, RenderCache
from kdcli.training.loop.train import StepLog, stop_requests
from kdcli.training.run.job import RunResult
from kdcli.training.run.progress import Progress

TOLD_EVERY = 1.0
"""Seconds between two steps that a process tells of."""


@dataclass(kw_only=True)
class _Worker:
    process: BaseProcess
    pipe: Connection
    busy: tuple[int, Job] | None = None


def run_in_processes(
    queue: Queue, out: Path, *, processes: int, device: torch.device, progress: Progress
) -> Generator[tuple[int, Job, RunResult | TrainingError]]:
    """Yield number, job and what became of it, as they end.

    Raises:
        KeyboardInterrupt: asked to stop; what was under way was saved. KdcliError: what a run refused; the others are
            stopped as if asked to.
    """
    context = multiprocessing.get_context("spawn")
    workers: list[_Worker] = []
    devices, begun, look_at = _devices(device), 0, 0.0

    def begin(place: int) -> _Worker:
        ours, theirs = context.Pipe()
        given = (theirs, out, devices[place % len(devices)], max(1, torch.get_num_threads() // processes), processes)
        process = context.Process(target=_work, args=given, name=f"kdcli-study-{place}")
        process.start()
        theirs.close()
        return _Worker(process=process, pipe=ours)

    def give() -> None:
        """Give work to those that have none, as far as there is any."""
        nonlocal begun, look_at
        for place in range(processes):
            if place < len(workers) and workers[place].busy:
                continue
            if time.monotonic() < look_at:
                return
            if (job := queue.take()) is None:
                look_at = time.monotonic() + LOOK_EVERY
                return
            if place == len(workers):
                workers.append(begin(place))
            elif workers[place].pipe.closed:
                workers[place] = begin(place)
            begun += 1
            workers[place].busy = begun, job
            progress.note(headline(begun, queue.count, job))
            with contextlib.suppress(OSError):  # one that has died is found so where it is listened to
                workers[place].pipe.send((begun, job))

    with stop_requests() as asked:
        try:
            while True:
                if asked.is_set():
                    raise KeyboardInterrupt
                give()
                if not any(worker.busy for worker in workers) and not queue.others():
                    break
                for worker in workers:
                    if worker.busy is None:
                        continue
                    if queue.lost(worker.busy[1]):
                        worker.process.kill()
                    if not worker.pipe.poll():
                        continue
                    try:
                        kind, told = worker.pipe.recv()
                    except (EOFError, OSError):  # nothing that Python could have told of: killed, out of memory
                        worker.process.join()
                        worker.pipe.close()
                        ended, worker.busy = worker.busy, None
                        yield *ended, taken_over() if queue.lost(ended[1]) else _died(worker.process)
                        continue
                    if kind == "told":
                        getattr(progress, told[0])(*told[1:])
                    elif kind == "broken":
                        raise told
                    else:
                        ended, worker.busy = worker.busy, None
                        yield *ended, told
                wait([worker.pipe for worker in workers if worker.busy], timeout=0.2)
        finally:
            _end(workers, progress)


def _end(workers: Sequence[_Worker], progress: Progress) -> None:
    """Ask those that are still at work to stop, and wait until they have saved; a second request kills them."""
    for worker in workers:
        if worker.busy is None:
            with contextlib.suppress(OSError):
                worker.pipe.send(None)
        elif worker.process.is_alive():
            worker.process.terminate()
    try:
        while alive := [worker for worker in workers if worker.process.is_alive()]:
            for worker in alive:
                with contextlib.suppress(EOFError, OSError):
                    while worker.pipe.poll():
                        kind, told = worker.pipe.recv()
                        if kind == "told" and told[0] == "note":
                            progress.note(told[1])
            wait([worker.process.sentinel for worker in alive], timeout=0.2)
    finally:
        for worker in workers:  # those that ended are not hurt by it
            worker.process.kill()
            worker.process.join()
            worker.pipe.close()


def _devices(device: torch.device) -> list[torch.device]:
    """Return what the processes work on, in turn."""
    if device.type == "cuda" and device.index is None:
        return [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    return [device]


def _died(process: BaseProcess) -> TrainingError:
    code = process.exitcode or 0
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return TrainingError(f"its process {how}, as it happens when memory runs out; with fewer --jobs it needs less")


def _work(pipe: Connection, out: Path, device: torch.device, threads: int, share: int) -> None:
    """Do runs until there are no more."""
    asked = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        interrupts.note(number)
        interrupts.raised()
        asked.set()
        if interrupts.may_raise():
            raise KeyboardInterrupt

    for request in interrupts.requests():
        if request != signal.SIGINT:  # the parent alone answers Ctrl-C
            signal.signal(request, stop)
    if hasattr(os, "setpgrp"):
        os.setpgrp()
    threading.Thread(target=_leave_with_the_parent, daemon=True).start()
    torch.set_num_threads(threads)
    cache = RenderCache(CACHE_BYTES // share)
    with contextlib.suppress(KeyboardInterrupt, EOFError, BrokenPipeError):
        while (task := pipe.recv()) is not None:
            job: Job = task[1]
            try:
                pipe.send(("ended", attempt(job, out, device, _Teller(pipe, job.cell.title, asked), cache)))
            except TrainingError as error:
                pipe.send(("ended", error))
            except Exception as error:
                pipe.send(("broken", _sendable(error)))
                return


def _leave_with_the_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _sendable(error: Exception) -> Exception:
    """Return the error, or one with its words where it does not survive the way."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


class _Teller:
    """Progress of a run that is told to the parent, if there still is one; of the steps now and then one.

    Some libraries swallow every exception that comes while they are imported: a run that was asked to stop then, and
    goes on, stops at the next thing that it has to tell.
    """

    def __init__(self, pipe: Connection, title: str, asked: threading.Event) -> None:
        self._pipe, self._title, self._asked, self._last = pipe, title, asked, 0.0

    def note(self, message: str) -> None:
        self._tell("note", message)

    def step(self, log: StepLog) -> None:
        if log.step == log.total or time.monotonic() - self._last > TOLD_EVERY:
            self._last = time.monotonic()
            self._tell("step", replace(log, variant=f"{self._title}: {log.variant}"))

    def count(self, what: str, done: int, total: int) -> None:
        self._tell("count", f"{self._title}: {what}", done, total)

    def _tell(self, *what: object) -> None:
        with contextlib.suppress(OSError):
            self._pipe.send(("told", what))
        if self._asked.is_set():
            raise KeyboardInterrupt
