"""How much main memory this process may still take: of the machine, and of the control groups that it is in.

Linux limits containers and jobs by control groups. A group of version 2 has ``memory.max`` and ``memory.current``, one
of version 1 ``memory.limit_in_bytes`` and ``memory.usage_in_bytes``; every group above it limits as well. See the
kernel's Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

_UNBOUNDED = 2**60
"""Version 1 writes a number beyond it for no limit."""
_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_V2 = ("memory.max", "memory.current", "inactive_file")


def limit(root: Path = Path("/")) -> int | None:
    """Return the bytes that the control groups of this process allow it; None where none limits.

    root: where ``/proc`` and ``/sys`` are.
    """
    known = [most for folder, names in _groups(root) if (most := _bytes(folder / names[0])) is not None]
    return min(known, default=None)


def free(root: Path = Path("/")) -> int | None:
    """Return the bytes that are left to this process, by the machine and by its control groups; None if nobody tells.

    What a group holds of files, and would give back, counts as free.
    """
    known = [left for left in (_available(root), *_left(root)) if left is not None]
    return min(known, default=None)


def _left(root: Path) -> Iterator[int]:
    for folder, (most_file, used_file, cached) in _groups(root):
        most, used = _bytes(folder / most_file), _bytes(folder / used_file)
        if most is not None and used is not None:
            yield max(most - used + _said(folder / "memory.stat", cached), 0)


def _groups(root: Path) -> Iterator[tuple[Path, tuple[str, str, str]]]:
    """Yield the folders of this process's groups, innermost first, with the names of what stands in them.

    In a container its group may be shown as the root of all, whatever ``/proc/self/cgroup`` calls it.
    """
    mount = root / "sys" / "fs" / "cgroup"
    text = ""
    with suppress(OSError, ValueError):
        text = (root / "proc" / "self" / "cgroup").read_text(encoding="utf-8")
    rows = [row.split(":", 2) for row in text.splitlines() if row.count(":") >= 2]
    inside = {"memory" if "memory" in kinds.split(",") else number: path for number, kinds, path in rows}
    for tree, key, names in ((mount, "0", _V2), (mount / "unified", "0", _V2), (mount / "memory", "memory", _V1)):
        path = PurePosixPath(inside.get(key, "/"))
        for place in (path, *path.parents):
            if ".." not in place.parts:
                yield tree / str(place).lstrip("/"), names


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
    with suppress(OSError, ValueError):
        told = int(path.read_text(encoding="ascii"))
        return told if told < _UNBOUNDED else None
    return None
