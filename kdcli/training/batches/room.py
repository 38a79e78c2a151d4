"""How much of the machine a run takes to itself: memory for what it would else decode again, processes that decode."""

from __future__ import annotations

import multiprocessing
import sys
from pathlib import Path
from typing import Literal

import torch

from kdcli.config.sizes import memory
from kdcli.limits.cores import cores as usable_cores
from kdcli.limits.memory import limit as allowed
from kdcli.many.group import on_this_machine

SHARE = 0.25
"""Of the memory that the process may use, for decoded images; as much again for what teachers say of them."""
LEAST = 2**30
"""Bytes where nobody tells how much memory there is."""
FEW = 1000
"""Images that are decoded sooner than processes for it are started: some ten seconds of one core."""
MOST_WORKERS = 16
"""Beyond it the process that collects the images is what limits."""


def room() -> int:
    """Return the bytes that images of this process may take."""
    known = [limit for limit in (memory(), allowed()) if limit is not None]
    return int(SHARE * min(known)) // on_this_machine() if known else LEAST


def workers_for(wanted: int | Literal["auto"], images: int, device: torch.device) -> int:
    """Return how many processes decode ``images`` files of a stage; only ``auto`` is asked of the machine.

    None where the files are soon read, or where a process would run the user's program once more. On a GPU the
    processor has nothing else to do; on a CPU a quarter of the cores, since a step takes ten times as long there as
    reading its images.
    """
    if wanted != "auto":
        return wanted
    cores = usable_cores() // on_this_machine()
    if images < FEW or cores < 2 or not _safe_to_start():
        return 0
    return min(cores - 1, MOST_WORKERS) if device.type != "cpu" else max(1, min(cores // 4, MOST_WORKERS))


def _safe_to_start() -> bool:
    """Return whether a new process leaves the user's program alone.

    Where processes are not forked (Windows, macOS, Linux from Python 3.14 on) each imports the main program first,
    which ends in an error if that calls kdcli without ``if __name__ == "__main__":``. kdcli's own has that line, and so
    has whatever started this process in the same way; nothing is imported again of a notebook.
    """
    method = multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0]
    main = sys.modules["__main__"]
    file, spec = getattr(main, "__file__", None), getattr(main, "__spec__", None)
    path = Path(file or "")  # the last is Windows' start of it, a program with the script inside
    own = "kdcli" in (path.stem, getattr(spec, "name", "").partition(".")[0]) or path.parent.name == "kdcli.exe"
    return method == "fork" or multiprocessing.parent_process() is not None or file is None or own

