"""A function of items in worker processes: results in the items' order, errors as one line, no thread but one each."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from kdcli.errors import DataError, KdcliError, PluginError
from kdcli.limits.cores import cores
from kdcli.plugins.blame import describe, is_worker_gone, owner_of
from kdcli.workers import begin_worker, check_sockets, started

T = TypeVar("T")

MOST = 8
"""Processes from which on disks are busier than processors."""
_WORTH = 16
"""Items for which a process is worth its start."""


def default_workers(items: int) -> int:
    """Return how many processes this machine is good for; 0 = this one, without another."""
    usable = cores()
    workers = min(MOST, usable, items // _WORTH)
    return workers if workers > 1 else 0


def in_order(function: Callable[[int], T], indices: Sequence[int], *, workers: int, what: Any) -> Iterator[T]:
    """Yield a function of each index. what: the source that is read, for messages; both must be sendable.

    Raises:
        KdcliError: what the function raises. DataError, PluginError: a process ended in the middle of it.
    """
    if not workers or len(indices) < 2:
        for index in indices:
            with _one_thread():
                item = function(index)
            yield item
        return
    check_sockets(workers)
    with warnings.catch_warnings():  # more processes than processors are the user's choice
        warnings.simplefilter("ignore", UserWarning)
        items = started(DataLoader(
            _Items(function), batch_size=None, sampler=list(indices), num_workers=min(workers, len(indices)),
            worker_init_fn=begin_worker,
        ))
    try:
        for item in items:
            if isinstance(item, _Trouble):
                raise item.kind(item.text)
            yield item
    except RuntimeError as error:
        if not is_worker_gone(error):
            raise
        said = f"a process that read '{what.name}' ended in the middle of it: {describe(error)}; use --workers 0"
        plugin = owner_of(what)
        raise (DataError(said) if plugin is None or plugin.built_in else PluginError(said)) from error
    finally:
        _end(items)


def _end(items: Any) -> None:
    """End the processes now: they heed no signal, and Python waits for them at its end while an error keeps them."""
    if (shut_down := getattr(items, "_shutdown_workers", None)) is not None:
        shut_down()
    for worker in getattr(items, "_workers", ()):
        if worker.is_alive():
            worker.kill()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums in another number of threads end in other last digits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class _Trouble:
    """An error on its way out of a process, as its class in ``kdcli.errors`` and its text."""

    def __init__(self, error: KdcliError) -> None:
        self.kind: type[KdcliError] = next(c for c in type(error).__mro__ if c.__module__ == KdcliError.__module__)
        self.text = str(error)


class _Items(Dataset[Any]):
    def __init__(self, function: Callable[[int], Any]) -> None:
        self._function = function

    def __getitem__(self, index: int) -> Any:
        try:
            return self._function(index)
        except KdcliError as error:
            return _Trouble(error)
