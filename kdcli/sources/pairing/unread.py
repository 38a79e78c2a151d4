"""Files that look like depth maps and are of a format that is not read, told by their endings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from kdcli.images import DEPTH_SUFFIXES
from kdcli.sources.listing import ending_of

_NO_MAPS = frozenset({
    "", ".txt", ".json", ".md", ".csv", ".yaml", ".yml", ".xml", ".toml", ".html", ".pdf", ".log", ".py", ".ini", ".db",
    ".lock", ".mp4", ".avi", ".mov", ".ply", ".pcd", ".obj",
})  # fmt: skip
_KNOWN = DEPTH_SUFFIXES | _NO_MAPS
_LOSSY = frozenset({".jpg", ".jpeg", ".webp"})


def unread_of(files: Iterable[Path], read: Iterable[Path]) -> list[Path]:
    """Return which files of a folder of depth maps may be maps that are not read, without those that are read else."""
    unread = [path for path in files if may_be_unread(path)]
    names = {path.with_suffix("") for path in read} if unread else set()
    return [path for path in unread if path.with_suffix("") not in names]


def may_be_unread(path: Path) -> bool:
    """Whether a file that should be a depth map has an ending that is not read."""
    return ending_of(path.name) not in _KNOWN


def endings_of(paths: Iterable[Path]) -> str:
    """Return endings with how many have them, the most frequent first: ``.pfm (3 files)``."""
    counts = Counter(path.suffix.lower() or "no ending" for path in paths)
    return ", ".join(f"{end} ({n} file{'s' if n > 1 else ''})" for end, n in counts.most_common(4))


def not_read(paths: Sequence[Path]) -> str:
    """Say of depth files why they are not read and what to do."""
    said = f"depth files end in {endings_of(paths)}, which is not read as depth, such as '{paths[0]}'"
    if all(path.suffix.lower() in _LOSSY for path in paths):
        return f"{said}: lossy pictures have no exact numbers; give the original depth as 16-bit PNG or float32 NPY"
    readable = " ".join(sorted(DEPTH_SUFFIXES))
    return f"{said}; convert them to 16-bit PNG or float32 NPY (read are {readable})"
