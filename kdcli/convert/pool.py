"""Jobs of a conversion in worker processes, in order; their errors arrive in one line."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Protocol, cast

from torch.utils.data import DataLoader, Dataset

from kdcli.errors import ConfigError, KdcliError
from kdcli.limits.cores import cores
from kdcli.training.batches.trouble import Trouble, delivered
from kdcli.workers import begin_worker, check_sockets

MOST_WORKERS = 16
"""Beyond it the disk is what limits."""
FEW = 64
"""Images that are sooner written than processes for it are started."""


class Jobs(Protocol):
    """Jobs by number."""

    def __len__(self) -> int:
        """Return how many there are."""

    def __getitem__(self, number: int) -> Any:
        """Do one of them."""


def workers_for(images: int) -> int:
    """Return how many processes write so many images where nobody says it."""
    usable = cores()
    return 0 if images < FEW or usable < 2 else min(usable, MOST_WORKERS)


def done(jobs: Jobs, about: Any, workers: int) -> Generator[Any]:
    """Yield what each job gives. about: the source whose name a message has if a process ends in the middle.

    Raises:
        KdcliError: what went wrong in a job. PluginError, TrainingError: a process ended before its work was done.
    """
    workers = min(workers, len(jobs))
    check_sockets(workers)
    loader = DataLoader(
        cast("Dataset[Any]", _Safe(jobs)), batch_size=None, num_workers=workers, worker_init_fn=begin_worker,
        prefetch_factor=1 if workers else None,
    )
    yield from delivered(loader, about)


class _Safe:
    """Jobs whose errors are given back instead of raised, since torch makes a traceback of them."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def __len__(self) -> int:
        return len(self._jobs)

    def __getitem__(self, number: int) -> Any:
        try:
            return self._jobs[number]
        except KdcliError as error:
            return Trouble(error)
        except OSError as error:
            where = f" '{error.filename}'" if error.filename else ""
            todo = "check that it is writable and the disk is not full; the same command goes on where it stopped"
            return Trouble(ConfigError(f"{error.strerror or error}{where}; {todo}"))
