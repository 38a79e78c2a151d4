"""The control groups of this process, by which Linux limits containers and jobs; every group above one limits as well.

See the kernel's Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/cgroups.rst.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath


def groups(root: Path, kind: str) -> Iterator[tuple[Path, int]]:
    """Yield the folders of this process's groups, innermost first, each with its version, 1 or 2.

    In a container its group may be shown as the root of all, whatever ``/proc/self/cgroup`` calls it.

    root: where ``/proc`` and ``/sys`` are. kind: of what is limited, as version 1 calls it: ``memory``, ``cpu``.
    """
    mount = root / "sys" / "fs" / "cgroup"
    text = ""
    with suppress(OSError, ValueError):
        text = (root / "proc" / "self" / "cgroup").read_text(encoding="utf-8")
    rows = [row.split(":", 2) for row in text.splitlines() if row.count(":") >= 2]
    inside = {kind if kind in kinds.split(",") else number: path for number, kinds, path in rows}
    for tree, key, version in ((mount, "0", 2), (mount / "unified", "0", 2), (mount / kind, kind, 1)):
        path = PurePosixPath(inside.get(key, "/"))
        for place in (path, *path.parents):
            if ".." not in place.parts:
                yield tree / str(place).lstrip("/"), version


def number(path: Path) -> int | None:
    """Return the number that is all of a file; None where there is none."""
    with suppress(OSError, ValueError):
        return int(path.read_text(encoding="ascii"))
    return None
