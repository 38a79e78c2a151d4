"""Ctrl-C, SIGTERM, SIGHUP and SIGUSR1: one exception on the way out, so that whatever was begun is tidied up.

Before the command line is there, and once the end is decided, there is nothing to tidy up: a signal then ends the
process at once. Nothing is imported here but what Python has at hand, since this comes first.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import time
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn

from kdcli import interrupts
from kdcli.interrupts import CODE

AGAIN = 2.0
"""Seconds after which a request is repeated that nobody answered."""
SOON = 0.02
"""Seconds between two looks whether an import is over."""
IMPORTS = 4.0
"""Seconds that an import is given to end."""


def begin() -> None:
    """End the process at once when a signal comes, in one line: nothing was begun yet."""
    for number in interrupts.requests():
        signal.signal(number, _before)


def install() -> None:
    """Turn the signals into ``KeyboardInterrupt``.

    While something is imported, it waits for the end of that, if not for long: some libraries swallow every exception
    there, and where native code imports Python's, it ends the process with a dump (torch.distributed does). Should one
    be swallowed all the same, it is raised once more.
    """
    interrupts.remember_terminals()
    if not _last:  # what is registered first is called last
        _last.append(atexit.register(_at_the_very_end))
    for number in interrupts.requests():
        signal.signal(number, _asked)


def answered() -> None:
    """Say that the exception has arrived and need not be raised again; a further signal ends the process at once."""
    interrupts.answered()
    over(CODE)


def over(code: int) -> None:
    """Let a signal end the process with this code at once: all is done, what follows is Python's own tidying up."""
    global _code
    _code = code
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, 0)
    for number in interrupts.requests():
        if signal.getsignal(number) is _asked:  # not where somebody else's program calls this one
            signal.signal(number, _after)


def _at_the_very_end() -> None:
    """Let no signal change the exit code: Python gives up its handlers before it ends, and the system's would kill."""
    for number in interrupts.requests():
        if signal.getsignal(number) in (_asked, _after):
            signal.signal(number, signal.SIG_IGN)


_last: list[Any] = []
_code = CODE
_patience = 0.0
"""Until when an import may go on."""
_IMPORTING = "<frozen importlib._bootstrap>"


def _before(number: int, frame: FrameType | None) -> NoReturn:
    with suppress(OSError):
        os.write(2, b"kdcli: interrupted\n")
    os._exit(CODE)


def _asked(number: int, frame: FrameType | None) -> None:
    global _patience
    if interrupts.unanswered() and interrupts.repeated(number):
        return
    interrupts.raised()
    _patience = time.monotonic() + IMPORTS
    interrupts.note(number)
    _be_silent_about_it()
    _interrupt(frame)


def _again(number: int, frame: FrameType | None) -> None:
    if _being_handled():  # somebody is tidying up, which may take its time
        _look_again(AGAIN)
        return
    if not interrupts.listening():  # a loop that has begun since then stops where it loses nothing
        _interrupt(frame)


def _interrupt(frame: FrameType | None) -> None:
    waits = not interrupts.may_raise() or (time.monotonic() < _patience and _imports(frame))
    if waits and _look_again(SOON):
        return
    _look_again(AGAIN)
    raise KeyboardInterrupt


def _imports(frame: FrameType | None) -> bool:
    """Whether the code that the signal broke into runs because of an import."""
    while frame is not None:
        if frame.f_code.co_filename == _IMPORTING:
            return True
        frame = frame.f_back
    return False


def _after(number: int, frame: FrameType | None) -> None:
    if not interrupts.repeated(number):
        os._exit(_code)


def _look_again(seconds: float) -> bool:
    """Come back in some time; return whether this system can."""
    if not hasattr(signal, "setitimer"):
        return False
    signal.signal(signal.SIGALRM, _again)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    return True


def _being_handled() -> bool:
    """Whether the code that the signal broke into runs because of a ``KeyboardInterrupt``."""
    error: BaseException | None = sys.exception()
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def _be_silent_about_it() -> None:
    """Print no traceback of an interruption that Python cannot pass on, as out of a finaliser."""
    before = sys.unraisablehook
    if before is not _hook:
        _others[:] = [before]
        sys.unraisablehook = _hook


_others: list[Any] = []


def _hook(unraisable: Any) -> None:
    if not isinstance(unraisable.exc_value, KeyboardInterrupt):
        _others[0](unraisable)
