"""Errors on their way out of a worker process: one line of their own class, where torch makes a traceback of them."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator
from typing import Any

from kdcli.errors import KdcliError, PluginError, TrainingError
from kdcli.plugins.blame import describe, is_worker_gone, owner_of
from kdcli.workers import started

_PATIENCE = 2.0
"""Seconds in which a killed process ends, unless the system holds it."""


class Trouble:
    """An error in place of an item. It is sent as its class in ``kdcli.errors`` and text: others may not unpickle."""

    def __init__(self, error: KdcliError) -> None:
        self.kind: type[KdcliError] = next(c for c in type(error).__mro__ if c.__module__ == KdcliError.__module__)
        self.text, self.trace = str(error), "".join(traceback.format_exception(error))


def delivered(loader: Iterable[Any], source: Any) -> Iterator[Any]:
    """Yield what workers made of a source's items.

    Raises:
        KdcliError: what went wrong in a worker. PluginError, TrainingError: a worker ended before its work was done.
    """
    items = started(loader)
    try:
        while True:
            try:
                item = next(items)
            except StopIteration:
                return
            except RuntimeError as error:
                if is_worker_gone(error):
                    raise _gone(error, source) from error
                raise
            if isinstance(item, Trouble):
                raise item.kind(item.text) from RuntimeError(item.trace)
            yield item
    finally:
        _end(items)


def _end(items: Any) -> None:
    """End the workers now: they heed no signal, and Python waits for them at its end while an error keeps them."""
    if (shut_down := getattr(items, "_shutdown_workers", None)) is not None:
        shut_down()
    killed = [worker for worker in getattr(items, "_workers", ()) if worker.is_alive()]
    for worker in killed:
        worker.kill()
    for worker in killed:  # until it is gone, what it was writing counts as being written
        worker.join(_PATIENCE)


def first_trouble(items: Iterable[Any]) -> Trouble | None:
    """Return the first error among the items of a batch."""
    return next((item for item in items if isinstance(item, Trouble)), None)


def _gone(error: RuntimeError, source: Any) -> KdcliError:
    plugin = owner_of(source)
    said = f"a worker process that read '{source.name}' ended in the middle of it: {describe(error)}"
    if plugin is None or plugin.built_in:
        return TrainingError(f"{said}; set fewer workers if memory is short, or workers = 0 to read without them")
    return PluginError(f"{plugin.label}: {said}; set workers = 0 to see more, and report it to its author")
