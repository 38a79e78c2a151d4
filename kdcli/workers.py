"""Processes that read files beside the main one: how they begin, and room for the sockets of their tensors."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator
from multiprocessing import util
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from kdcli import interrupts
from kdcli.errors import ConfigError

T = TypeVar("T")

_LONGEST = 103 if sys.platform == "darwin" else 107
"""Bytes of a socket's path."""
_NAME = "/listener-12345678"
"""What Python adds to the folder that it makes for the sockets of a process."""
_FOLDER = "/pymp-12345678"
"""What it adds to the folder for temporary files."""


def started(loader: Iterable[T]) -> Iterator[T]:
    """Return an iterator whose processes are all there, or none: what is half made, Python cannot tidy up."""
    with interrupts.undisturbed():
        return iter(loader)


def begin_worker(number: int) -> None:
    """Let the main process answer signals, which may reach the whole group, and write nothing about its end.

    An error on the way to the main process is no worker's to print: a main process that is asked to stop, or killed,
    leaves a tensor that it was about to take, which the thread of Python that hands them over reports as an error.
    """
    for asked in interrupts.requests():
        signal.signal(asked, signal.SIG_IGN)
    sys.excepthook = _of_others


def _of_others(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, (EOFError, ConnectionError)):
        sys.__excepthook__(kind, error, trace)


def check_sockets(workers: int) -> None:
    """Refuse processes whose sockets would have too long paths, before they die of it one by one.

    Raises:
        ConfigError: the folder for temporary files has too long a name.
    """
    if not workers or sys.platform == "win32":
        return
    if _over(tempfile.gettempdir() + _FOLDER) <= 0:
        return  # without making the folder, which a process that is killed would leave behind
    folder = util.get_temp_dir()  # some versions of Python look for a place with a shorter name
    over = _over(folder)
    if over > 0:
        raise ConfigError(
            f"the folder for temporary files, '{Path(folder).parent}', has a name {over} letters too long for the "
            "sockets of processes that read beside this one: set TMPDIR to a shorter one, or do without such processes "
            "(--workers 0, in a run --set workers=0)"
        )


def _over(folder: str) -> int:
    return len(os.fsencode(folder)) + len(_NAME) - _LONGEST
