"""``folder:``: ``images``, ``depth`` and ``instances`` beside one another, with equal names."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from kdcli.convert.layouts.layout import Item, Layout, Told, matrix


class Folder(Layout):
    """What ``kdcli mix`` writes, and ``folder:DIR`` reads as a whole; ``rgbd:DIR`` finds the camera as well."""

    name: ClassVar[str] = "folder"
    instances: ClassVar[bool] = True
    needs_depth: ClassVar[bool] = False
    splits: ClassVar[bool] = False

    def files(self, item: Item, several: bool) -> dict[str, bytes]:
        """Return depth, ids and picture."""
        found = {}
        if item.depth is not None:
            found[f"depth/{item.name}.{item.form}"] = item.depth
        if item.ids is not None:
            found[f"instances/{item.name}.png"] = item.ids
        return found | {f"images/{item.name}.{item.ending}": item.picture}

    def lists(self, told: Told) -> dict[str, str]:
        """Return the camera, where all images have one."""
        camera = matrix(told.rows)
        return {} if camera is None else {"camera-intrinsics.txt": camera}

    def spec(self, out: Path, told: Told) -> str:
        """Return the source; where there is nothing but images, their folder."""
        beside = any(len(row.files) > 1 for row in told.rows)
        deep = ",recursive=true" if any("/" in row.name for row in told.rows) else ""
        return f"folder:{out}{'' if beside else '/images'}{deep}"
