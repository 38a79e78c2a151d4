"""How many cores this process may keep busy: by its affinity, and by the quota of its control groups.

``docker run --cpus`` and the limits of Kubernetes give a share of the time of all cores, and leave all of them to be
seen. More threads than the share has cores wait for one another until the next period. A group of version 2 has
``cpu.max`` (quota and period, microseconds, or ``max``), one of version 1 ``cpu.cfs_quota_us`` (-1: none) and
``cpu.cfs_period_us``.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from kdcli.limits.groups import groups, number


def cores(root: Path = Path("/")) -> int:
    """Return the cores, at least 1; of a share of one and a half the whole one.

    root: where ``/proc`` and ``/sys`` are.
    """
    seen = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    shares = [share for folder, version in groups(root, "cpu") if (share := _share(folder, version)) is not None]
    return max(int(min(seen, *shares)), 1) if shares else seen


def _share(folder: Path, version: int) -> float | None:
    """Return how many cores' time a group may use; None where it is not limited."""
    quota: int | None = None
    period: int | None = None
    if version == 1:
        quota, period = number(folder / "cpu.cfs_quota_us"), number(folder / "cpu.cfs_period_us")
    else:
        with suppress(OSError, ValueError):
            quota, period = map(int, (folder / "cpu.max").read_text(encoding="ascii").split())
    return quota / period if quota is not None and period is not None and quota > 0 and period > 0 else None
