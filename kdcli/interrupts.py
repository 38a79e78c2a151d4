"""Whether the user asked this process to stop. Who handles the signals says so here; who judges errors asks.

Ctrl-C, SIGTERM and SIGHUP (the terminal was closed, the connection lost) ask for the same: keep what was done, tidy up,
end with 130.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress

_seen = _hung_up = False
_terminals: list[int] = []


def note(number: int = 0) -> None:
    """Remember that a signal asked the process to stop; for signal handlers."""
    global _seen, _hung_up
    _seen = True
    if number == getattr(signal, "SIGHUP", -1):
        _hung_up = True
        _leave_the_terminal()


def forget() -> None:
    """Begin anew: what was asked before was answered, and whoever called goes on in the same process."""
    global _seen, _hung_up
    _seen = _hung_up = False


def repeated(number: int) -> bool:
    """Return whether a signal says what is known: a terminal that is closed tells its processes twice.

    Ctrl-C twice, on the other hand, means that somebody will not wait.
    """
    return _hung_up and number == getattr(signal, "SIGHUP", -1)


def asked() -> bool:
    """Return whether a signal has asked the process to stop."""
    return _seen


def requests() -> tuple[int, ...]:
    """Return the signals that ask for a stop; not SIGHUP where it is ignored, as by ``nohup``."""
    numbers = [int(signal.SIGINT), int(signal.SIGTERM)]
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:
        numbers.append(int(hangup))
    return tuple(numbers)


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
