"""Ctrl-C and SIGTERM: one exception on the way out, so that whatever was begun is tidied up."""

from __future__ import annotations

import signal
from types import FrameType
from typing import NoReturn

AGAIN = 2.0
"""Seconds after which a request is repeated that nobody answered."""


def install() -> None:
    """Turn both signals into ``KeyboardInterrupt``.

    Some libraries swallow every exception that comes while they are imported, this one too: it is raised once more.
    """
    signal.signal(signal.SIGINT, _asked)
    signal.signal(signal.SIGTERM, _asked)


def answered() -> None:
    """Say that the exception has arrived and need not be raised again."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, 0)


def _asked(number: int, frame: FrameType | None) -> NoReturn:
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, _again)
        signal.setitimer(signal.ITIMER_REAL, AGAIN)
    raise KeyboardInterrupt


def _again(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
