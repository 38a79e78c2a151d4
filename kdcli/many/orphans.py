"""Processes of ``torchrun`` end with it: nobody else tells them that another one was lost.

``torchrun`` starts each in a session of its own, so that whatever kills it, or its group, leaves them. Those that had
not found one another yet would wait for their store, which was its, and hold their GPU.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from kdcli.interrupts import CODE

_OFTEN = 1.0
"""Seconds between two looks."""


@contextlib.contextmanager
def ending_with_torchrun() -> Iterator[threading.Event]:
    """Ask this process to stop, as SIGTERM does, once the ``torchrun`` that started it is gone.

    Yields an event for the caller to set as soon as there is something to lose; before, the process ends at once, since
    nothing can be asked of a thread that waits inside of PyTorch.
    """
    begun, over = threading.Event(), threading.Event()
    if "TORCHELASTIC_RUN_ID" in os.environ and sys.platform != "win32":
        threading.Thread(target=_watch, args=(os.getppid(), begun, over), name="torchrun", daemon=True).start()
    try:
        yield begun
    finally:
        over.set()


def _watch(parent: int, begun: threading.Event, over: threading.Event) -> None:
    alone = _alone(parent)
    while not alone and not over.wait(_OFTEN):
        alone = os.getppid() != parent
    if over.is_set():
        return
    with contextlib.suppress(OSError):  # of a pipe that went with it
        os.write(2, b"kdcli: torchrun, which started this process, is gone\n")
    if not begun.is_set():
        os._exit(CODE)
    os.kill(os.getpid(), signal.SIGTERM)


def _alone(parent: int) -> bool:
    """Return whether it is gone already: the first process of all has adopted this one, and is no Python.

    In a container ``torchrun`` may be that first process itself.
    """
    if parent != 1:
        return False
    with contextlib.suppress(OSError):
        return b"python" not in Path("/proc/1/cmdline").read_bytes()
    return False
