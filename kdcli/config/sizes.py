"""Sizes that cannot be: refused by arithmetic, before the first image is read or a byte allocated.

The bounds are far beyond what anybody trains with today; what lies above them is a slip of the keyboard.
"""

from __future__ import annotations

import os
from contextlib import suppress

from kdcli.config.stage import StageKeys
from kdcli.errors import ConfigError
from kdcli.spec import MOST_SIDE

MOST_STEPS = 10**8
"""Updates of a stage: at a hundred a second they take eleven days, and the order of their images is kept in memory."""
MOST_ACCUMULATED = 10**4
"""Batches in one update."""
IMAGE_BYTES = 2**36
"""Images of a batch, float32: 64 GiB. A step holds many times that in features, which no device does."""
WORKERS_A_CORE = 8
"""Processes that decode files; each imports torch (some 0.3 GiB), and more of them than cores only wait."""
FEWEST_WORKERS = 32
"""Always allowed: on a network file system workers wait for the server, not for a core."""
MOST_CHANNELS = 4096
"""Inside a transformation network: one of its layers then has 150 million weights."""
MOST_LAYERS = 256
MOST_IMAGES = 10**8
"""In a set that is written or a source that is counted: the order of an epoch is kept in memory, 4 GB of it."""
MOST_CELLS = 10**5
"""Runs of a study: at ten seconds each they take eleven days."""


def check_sizes(stage: StageKeys) -> None:
    """Check how much a stage is.

    Raises:
        ConfigError: the offending value, in one line.
    """
    where = f"of stage '{stage.name}'"
    for key in ("steps", "epochs", "log_every", "checkpoint_every", "keep_checkpoints"):
        value = getattr(stage, key)
        if value is not None and value > MOST_STEPS:
            raise ConfigError(f"{key}={value} {where} is beyond {MOST_STEPS:,}; write a smaller number")
    for key, most in (
        ("accumulate", MOST_ACCUMULATED), ("network_width", MOST_CHANNELS), ("network_layers", MOST_LAYERS),
    ):
        if getattr(stage, key) > most:
            raise ConfigError(f"{key}={getattr(stage, key)} {where} is beyond {most:,}; write a smaller number")
    if max(stage.size) > MOST_SIDE:
        raise ConfigError(f"size={stage.size[0]}x{stage.size[1]} {where} is beyond {MOST_SIDE} pixels a side")
    check_batch(stage.batch_size, stage.size, f"batch_size={stage.batch_size} {where}")
    if stage.workers != "auto":
        check_workers(stage.workers, f"workers={stage.workers} {where}")


def check_batch(images: int, size: tuple[int, int] | None, what: str) -> None:
    """Check that a batch of images, of 32 x 32 where their size is not known, fits into a machine.

    Raises:
        ConfigError: it does not.
    """
    height, width = size or (32, 32)
    wanted, machine = images * height * width * 12, memory()
    most = IMAGE_BYTES if machine is None else min(IMAGE_BYTES, machine)
    if wanted > most:
        whose = "no device" if most == IMAGE_BYTES else f"this machine, with {most / 2**30:.3g} GiB,"
        raise ConfigError(
            f"{what} is {wanted / 2**30:.3g} GiB of images of {height}x{width}, which {whose} has room for; use fewer "
            "at a time"
        )


def check_workers(workers: int, what: str) -> None:
    """Check a number of processes.

    Raises:
        ConfigError: far more of them than cores.
    """
    cores = os.cpu_count() or 1
    most = max(FEWEST_WORKERS, WORKERS_A_CORE * cores)
    if workers > most:
        raise ConfigError(f"{what} is more than this machine with {cores} cores has use for; write at most {most}")


def check_steps(updates: int, where: str) -> None:
    """Check a number of updates that follows from epochs.

    Raises:
        ConfigError: it is beyond all bounds.
    """
    if updates > MOST_STEPS:
        raise ConfigError(
            f"{where} comes to {updates:.3g} updates, beyond {MOST_STEPS:,}; use --steps, or count=N in its source"
        )


def memory() -> int | None:
    """Return the machine's main memory in bytes; None where it cannot be told."""
    with suppress(AttributeError, ValueError, OSError):
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
        return pages * size if pages > 0 and size > 0 else None
    return None
