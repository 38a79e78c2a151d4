"""Whether the user asked this process to stop. Who handles the signals says so here; who judges errors asks.

Ctrl-C, SIGTERM, SIGHUP (the terminal was closed, the connection lost) and SIGUSR1 (a scheduler: the time is nearly up)
ask for the same: keep what was done, tidy up, end with 130.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

CODE = 130
"""Exit code of a process that was asked to stop."""

_seen = False
_unanswered = False
_listeners: list[threading.Event] = []
_undisturbed = 0
_said: set[int] = set()
_terminals: list[int] = []


def note(number: int = 0) -> None:
    """Remember that a signal asked the process to stop; for signal handlers."""
    global _seen
    _seen = True
    _said.add(int(number))
    if number == getattr(signal, "SIGHUP", -1):
        _leave_the_terminal()


def forget() -> None:
    """Begin anew: what was asked before was answered, and whoever called goes on in the same process."""
    global _seen
    _seen = False
    _said.clear()


def raised() -> None:
    """Remember that a request was made an exception, which a library, or Python in a finaliser, may swallow."""
    global _unanswered
    _unanswered = True


def answered() -> None:
    """Say that the exception has arrived."""
    global _unanswered
    _unanswered = False


def unanswered() -> bool:
    """Return whether a request was made an exception that nobody has said to have heard."""
    return _unanswered


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let no request become an exception in the block, which takes a moment and must not be done by halves.

    It becomes one right after. No thread but the main one is ever broken into, and so no other one is counted.
    """
    global _undisturbed
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _undisturbed += 1
    try:
        yield
    finally:
        _undisturbed -= 1


def may_raise() -> bool:
    """Return whether a request may be made an exception now."""
    return not _undisturbed


def listen(flag: threading.Event) -> None:
    """Let a loop stop where it loses nothing: its flag is set for a request that got lost before, too."""
    global _seen
    _listeners.append(flag)
    if _unanswered:
        _seen = True
        flag.set()


def leave(flag: threading.Event) -> None:
    """The loop is over."""
    _listeners.remove(flag)


def listening() -> bool:
    """Return whether a loop hears of requests by its flag, and needs no exception."""
    return bool(_listeners)


def repeated(number: int) -> bool:
    """Return whether a signal says what is known: a terminal that is closed tells its processes twice, a scheduler the
    one that it started and, through that, the same again.

    Ctrl-C twice, on the other hand, means that somebody will not wait.
    """
    return number in _said and number in _unasked()


def asked() -> bool:
    """Return whether a signal has asked the process to stop."""
    return _seen


def requests() -> tuple[int, ...]:
    """Return the signals that ask for a stop; SIGHUP and SIGUSR1 not where they are ignored, as by ``nohup``."""
    heeded = [number for number in _unasked() if signal.getsignal(number) is not signal.SIG_IGN]
    return (int(signal.SIGINT), int(signal.SIGTERM), *heeded)


def _unasked() -> list[int]:
    """Return the signals that come by themselves, not because somebody pressed a key, where the system has them."""
    found = [getattr(signal, name, None) for name in ("SIGHUP", "SIGUSR1")]
    return [int(number) for number in found if number is not None]


def remember_terminals() -> None:
    """Remember which outputs go to a terminal, to know later that it is gone."""
    _terminals[:] = [number for number in (1, 2) if os.isatty(number)]


def _leave_the_terminal() -> None:
    """Write nowhere from now on what would go to a terminal that is gone, where writing fails."""
    for number in _terminals:
        with suppress(OSError):
            if not os.isatty(number):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, number)
                os.close(nowhere)
