"""Ctrl-C, SIGTERM and SIGHUP: one exception on the way out, so that whatever was begun is tidied up.

Before the command line is there, and once the end is decided, there is nothing to tidy up: a signal then ends the
process at once. Nothing is imported here but what Python has at hand, since this comes first.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn

from kdcli import interrupts

AGAIN = 2.0
"""Seconds after which a request is repeated that nobody answered."""
CODE = 130
"""Exit code of a process that was asked to stop."""


def begin() -> None:
    """End the process at once when a signal comes, in one line: nothing was begun yet."""
    for number in interrupts.requests():
        signal.signal(number, _before)


def install() -> None:
    """Turn the signals into ``KeyboardInterrupt``.

    Some libraries swallow every exception that comes while they are imported, this one too: it is raised once more.
    """
    interrupts.remember_terminals()
    for number in interrupts.requests():
        signal.signal(number, _asked)


def unanswered() -> bool:
    """Return whether a signal came that nobody has said to have heard."""
    return _waiting


def answered() -> None:
    """Say that the exception has arrived and need not be raised again; a further signal ends the process at once."""
    global _waiting
    _waiting = False
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, 0)
    over(CODE)


def over(code: int) -> None:
    """Let a signal end the process with this code at once: all is done, what follows is Python's own tidying up."""
    global _code
    _code = code
    for number in interrupts.requests():
        if signal.getsignal(number) is _asked:  # not where somebody else's program calls this one
            signal.signal(number, _after)


_code, _waiting = CODE, False


def _before(number: int, frame: FrameType | None) -> NoReturn:
    with suppress(OSError):
        os.write(2, b"kdcli: interrupted\n")
    os._exit(CODE)


def _asked(number: int, frame: FrameType | None) -> None:
    global _waiting
    if _waiting and interrupts.repeated(number):
        return
    _waiting = True
    interrupts.note(number)
    _be_silent_about_it()
    _once_more()
    raise KeyboardInterrupt


def _again(number: int, frame: FrameType | None) -> None:
    if _being_handled():  # somebody is tidying up, which may take its time
        _once_more()
        return
    raise KeyboardInterrupt


def _after(number: int, frame: FrameType | None) -> None:
    if not interrupts.repeated(number):
        os._exit(_code)


def _once_more() -> None:
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, _again)
        signal.setitimer(signal.ITIMER_REAL, AGAIN)


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
