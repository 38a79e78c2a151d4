"""Loggers are told of a run, each in a thread of its own: what it does wrong, or does slowly, costs only itself."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from kdcli.plugins.blame import describe
from kdcli.protocols import Logger

MOST_WAITING = 10_000
"""Calls that wait for a logger at most; one that is that far behind will not catch up."""


class Teller:
    """One logger at work. The calls are made one after the other, as they came."""

    def __init__(self, label: str, logger: Logger) -> None:
        self.label = label
        self.trouble: str | None = None
        """Why it is told nothing more."""
        self.where: str | None = None
        """What it says of where its numbers are, once it has begun."""
        self._logger = logger
        self._calls: queue.SimpleQueue[tuple[str, tuple[Any, ...]] | Callable[[], None] | None] = queue.SimpleQueue()
        # A daemon: a server that does not answer keeps no process from its end.
        self._thread = threading.Thread(target=self._work, name=f"kdcli-logger-{label}", daemon=True)
        self._thread.start()

    def tell(self, method: str, *given: Any) -> None:
        """Have a method of the logger called when those before are done."""
        if self.trouble is None:
            if self._calls.qsize() > MOST_WAITING:
                self.trouble = f"it is {MOST_WAITING} calls behind"
            self._calls.put((method, given))

    def then(self, action: Callable[[], None]) -> None:
        """Have something else done when the calls before are, if none of them failed."""
        self._calls.put(action)

    def close(self) -> None:
        """Say that nothing more will come."""
        self._calls.put(None)

    def wait(self, end: float) -> bool:
        """Wait for its end until a time of ``time.monotonic``; return whether it came."""
        while self._thread.is_alive() and (left := end - time.monotonic()) > 0:
            self._thread.join(min(left, 0.2))  # in between Ctrl-C is heard
        return not self._thread.is_alive()

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            if self.trouble is not None:
                continue
            try:
                if callable(call):
                    call()
                    continue
                method, given = call
                getattr(self._logger, method)(*given)
                if method == "begin":
                    self.where = str(getattr(self._logger, "where", "") or "") or None
            except BaseException as error:  # also what means to end Python: it is a thread's alone here
                self.trouble = describe(error)
