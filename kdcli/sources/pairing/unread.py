"""Files that look like depth maps and are of a format that is not read, told by their endings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from kdcli.images import DEPTH_SUFFIXES
from kdcli.sources.file_names import ending_of, without_ending

_NO_MAPS = frozenset({
    "", ".txt", ".json", ".md", ".csv", ".yaml", ".yml", ".xml", ".toml", ".html", ".pdf", ".log", ".py", ".ini", ".db",
    ".lock", ".mp4", ".avi", ".mov", ".ply", ".pcd", ".obj",
})  # fmt: skip
_KNOWN = DEPTH_SUFFIXES | _NO_MAPS
_LOSSY = frozenset({".jpg", ".jpeg", ".webp"})


def unread_of(files: Sequence[str], read: Iterable[str]) -> list[str]:
    """Return which files of a folder of depth maps may be maps that are not read, without those that are read else."""
    unread = [path for path in files if may_be_unread(path)]
    names = set(map(without_ending, read)) if unread else set()
    return [path for path in unread if without_ending(path) not in names]


def may_be_unread(path: str) -> bool:
    """Whether a file that should be a depth map has an ending that is not read."""
    return ending_of(path) not in _KNOWN


def endings_of(paths: Iterable[str]) -> str:
    """Return endings with how many have them, the most frequent first: ``.pfm (3 files)``."""
    counts = Counter(ending_of(path) or "no ending" for path in paths)
    return ", ".join(f"{end} ({n} file{'s' if n > 1 else ''})" for end, n in counts.most_common(4))


def not_read(paths: Sequence[str]) -> str:
    """Say of depth files why they are not read and what to do."""
    said = f"depth files end in {endings_of(paths)}, which is not read as depth, such as '{paths[0]}'"
    if all(ending_of(path) in _LOSSY for path in paths):
        return f"{said}: lossy pictures have no exact numbers; give the original depth as 16-bit PNG or float32 NPY"
    readable = " ".join(sorted(DEPTH_SUFFIXES))
    return f"{said}; convert them to 16-bit PNG or float32 NPY (read are {readable})"
