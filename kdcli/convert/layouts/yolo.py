"""``images`` beside ``depth`` or ``depths`` with a data YAML, as ultralytics and libreyolo train on them.

Read in ultralytics 8.4.190 (``ultralytics/data/dataset.py``, ``data/utils.py``) and libreyolo 1.6.0
(``libreyolo/data/depth_dataset.py``). A YAML without ``path`` is relative to itself in both.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import ClassVar

from kdcli.convert.layouts.layout import TRAIN, VAL, Item, Layout, Told
from kdcli.errors import ConfigError

_SCALE = 1000.0
"""What a YAML says beside maps of floats, which no tool divides."""


class Ultralytics(Layout):
    """``images/train`` beside ``depth/train``, 16-bit PNG or float NPY."""

    name: ClassVar[str] = "ultralytics"
    folder: ClassVar[str] = "depth"

    def files(self, item: Item, several: bool) -> dict[str, bytes]:
        """Return depth and picture."""
        assert item.depth is not None
        return {
            f"{self.folder}/{item.split}/{item.name}.{item.form}": item.depth,
            f"images/{item.split}/{item.name}.{item.ending}": item.picture,
        }

    def lists(self, told: Told) -> dict[str, str]:
        """Return the data YAML."""
        val, note = (VAL, "") if told.several else (TRAIN, "  # the same: no others were given")
        lines = [
            f"train: images/{TRAIN}", f"val: images/{val}{note}", "", *self.own(told), "",
            f"depth_scale: {told.scale or _SCALE:.17g}  # stored units per metre; 0 = no measurement",
        ]
        return {"data.yaml": "\n".join(lines) + "\n"}

    def own(self, told: Told) -> list[str]:
        """Return the lines that only this tool asks for."""
        # Depth beyond it counts for nothing there, and 100 m is its own idea.
        return ["nc: 1", "names:", "  0: depth", "channels: 3", f"max_depth: {math.ceil(told.far or 1)}"]

    def spec(self, out: Path, told: Told) -> str:
        """Return the source."""
        return f"pairs:{out / 'data.yaml'},split={TRAIN}"


class LibreYolo(Ultralytics):
    """``images/train`` beside ``depths/train``. Depth has to have the size of its image there."""

    name: ClassVar[str] = "libreyolo"
    folder: ClassVar[str] = "depths"

    def refuse(self, out: Path) -> None:
        """Refuse a folder in whose path some part begins with ``images``, since libreyolo replaces each of them.

        Raises:
            ConfigError: there is one.
        """
        if any(part.startswith("images") for part in out.absolute().parts):
            raise ConfigError(f"libreyolo looks for depth below 'depths' wherever a part of a path begins with "
                              f"'images', which '{out.absolute()}' has; use another --out")

    def own(self, told: Told) -> list[str]:
        """Return the lines that only this tool asks for."""
        return ["nc: 1", "names:", "  0: depth", f"depths_dir: {self.folder}"]
