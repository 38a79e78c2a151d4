"""What is said where the machine ends a run: no memory left, no room on the disk."""

from __future__ import annotations

import errno
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kdcli.config import StageConfig
from kdcli.errors import TrainingError, out_of_memory

FULL = (errno.ENOSPC, errno.EDQUOT)
"""The disk is full, or what one may use of it."""


@contextmanager
def memory_told(stage: StageConfig) -> Iterator[None]:
    """Say what to change where there is no memory for the steps of a stage.

    Raises:
        TrainingError: there is none.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        (height, width), images = stage.seen, stage.batch_size
        half = f"--batch-size {images // 2} --set accumulate={2 * stage.accumulate} (updates of as many images), "
        raise TrainingError(
            f"out of memory in stage '{stage.name}' with {images} image{'s' if images > 1 else ''} of {height}x{width} "
            f"at a time; begin anew with {half if images > 1 else ''}--batch-size auto, or a smaller --size"
        ) from error


@contextmanager
def disk_told(run: Path, state: Path) -> Iterator[None]:
    """Say what is kept and how to go on where the disk of a run is full. state: its checkpoint.

    Raises:
        TrainingError: it is.
    """
    try:
        yield
    except Exception as error:
        if not disk_full(error):
            raise
        free = ""
        with suppress(OSError):
            free = f" ({shutil.disk_usage(run).free / 1e6:.3g} MB free)"
        again = f"go on with: kdcli distill --resume {shlex.quote(str(run))}"
        if state.is_file():
            told = f"the last checkpoint is kept: make room, and {again}"
        elif (run / "metrics.jsonl").is_file():
            told = f"no checkpoint of the stage under way was written yet: make room, and {again}"
        else:
            told = "nothing was trained yet: make room, and begin anew"
        raise TrainingError(f"the disk of '{run}' is full{free}; {told}") from error


def disk_full(error: BaseException) -> bool:
    """Return whether an error says that there is no room on the disk; some libraries tell it in words alone."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in FULL
    return "No space left on device" in str(error) or "os error 28" in str(error)
