"""Keep what foreign code prints away from standard output."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """Send what is printed to standard output to standard error, also by C code and ``os.write``.

    Standard output belongs to results: one JSON document must stay one.
    """
    with contextlib.redirect_stdout(sys.stderr), contextlib.ExitStack() as undo:
        with contextlib.suppress(OSError):  # a closed descriptor: nothing can be printed there anyway
            saved = os.dup(1)
            undo.callback(os.close, saved)
            _flush()
            os.dup2(2, 1)
            undo.callback(os.dup2, saved, 1)
            undo.callback(_flush)
        yield


def _flush() -> None:
    if sys.__stdout__ is not None:
        with contextlib.suppress(OSError, ValueError):
            sys.__stdout__.flush()
