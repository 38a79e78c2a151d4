"""How much main memory this process may still take: of the machine, and of the control groups that it is in.

A group of version 2 has ``memory.max`` and ``memory.current``, one of version 1 ``memory.limit_in_bytes`` and
``memory.usage_in_bytes`` (the kernel's Documentation/admin-guide/cgroup-v1/memory.rst).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from kdcli.limits.groups import groups, number

_UNBOUNDED = 2**60
"""Version 1 writes a number beyond it for no limit."""
_FILES = {
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    2: ("memory.max", "memory.current", "inactive_file"),
}


def limit(root: Path = Path("/")) -> int | None:
    """Return the bytes that the control groups of this process allow it; None where none limits.

    root: where ``/proc`` and ``/sys`` are.
    """
    known = [_bytes(folder / _FILES[version][0]) for folder, version in groups(root, "memory")]
    return min((most for most in known if most is not None), default=None)


def free(root: Path = Path("/")) -> int | None:
    """Return the bytes that are left to this process, by the machine and by its control groups; None if nobody tells.

    What a group holds of files, and would give back, counts as free.
    """
    known = [left for left in (_available(root), *_left(root)) if left is not None]
    return min(known, default=None)


def _left(root: Path) -> Iterator[int]:
    for folder, version in groups(root, "memory"):
        most_file, used_file, cached = _FILES[version]
        most, used = _bytes(folder / most_file), _bytes(folder / used_file)
        if most is not None and used is not None:
            yield max(most - used + _said(folder / "memory.stat", cached), 0)


def _available(root: Path) -> int | None:
    told = _said(root / "proc" / "meminfo", "MemAvailable:")
    if told:
        return told * 1024
    with suppress(AttributeError, ValueError, OSError):
        pages, size = os.sysconf("SC_AVPHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
        return pages * size if pages > 0 and size > 0 else None
    return None


def _said(path: Path, name: str) -> int:
    """Return the number behind a name in a file of a line each; 0 where it is not there."""
    with suppress(OSError, ValueError):
        for row in path.read_text(encoding="ascii").splitlines():
            words = row.split()
            if len(words) > 1 and words[0] == name:
                return int(words[1])
    return 0


def _bytes(path: Path) -> int | None:
    told = number(path)
    return None if told is None or told >= _UNBOUNDED else told
