"""Native libraries write past Python's streams; here they are kept quiet."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from kdcli.exporters.trace import silence


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what Python and native code print, log and warn off the streams; errors still pass."""
    kept = os.dup(1), os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        with silence():
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
            try:
                yield
            finally:
                os.dup2(kept[0], 1)
                os.dup2(kept[1], 2)
    finally:
        for stream in (*kept, nowhere):
            os.close(stream)
