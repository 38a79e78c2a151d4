"""How much of the machine a run takes to itself: memory for what it would else decode again, processes that decode."""

from __future__ import annotations

import os
from typing import Literal

import torch

from kdcli.config.memory import limit as allowed
from kdcli.config.sizes import memory
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

    None where the files are soon read. On a GPU the processor has nothing else to do; on a CPU a quarter of the cores,
    since a step takes ten times as long there as reading its images.
    """
    if wanted != "auto":
        return wanted
    cores = _cores() // on_this_machine()
    if images < FEW or cores < 2:
        return 0
    return min(cores - 1, MOST_WORKERS) if device.type != "cpu" else max(1, min(cores // 4, MOST_WORKERS))


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
