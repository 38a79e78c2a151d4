"""MoGe: a folder an image, with a logarithmic depth map and the camera as shares of the image's size.

Read in microsoft/MoGe (``docs/train.md``, ``moge/utils/io.py``).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

from kdcli.convert.layouts.layout import TRAIN, VAL, Item, Layout, Told


class MoGe(Layout):
    """``NAME/image.jpg``, ``depth.png``, ``meta.json``; ``.index.txt`` lists the folders, or ``.train.txt`` and
    ``.val.txt``."""

    name: ClassVar[str] = "moge"
    depths: ClassVar[tuple[str, ...]] = ("png",)
    logarithmic: ClassVar[bool] = True

    def files(self, item: Item, several: bool) -> dict[str, bytes]:
        """Return depth, camera and picture. Without a camera ``meta.json`` names none, which its training asks for."""
        assert item.depth is not None
        meta, camera = {}, item.facts["intrinsics"]
        if camera is not None:
            (fx, fy, cx, cy), height, width = camera, item.facts["height"], item.facts["width"]
            # In this convention the middle of the first pixel lies at half of its width.
            meta["intrinsics"] = [
                [fx / width, 0, (cx + 0.5) / width], [0, fy / height, (cy + 0.5) / height], [0, 0, 1],
            ]
        folder = f"{item.split}/{item.name}" if several else item.name
        return {
            f"{folder}/depth.png": item.depth, f"{folder}/meta.json": json.dumps(meta).encode(),
            f"{folder}/image.{item.ending}": item.picture,
        }

    def lists(self, told: Told) -> dict[str, str]:
        """Return the index, or one for each part."""
        if not told.several:
            return {".index.txt": "".join(f"{row.name}\n" for row in told.rows)}
        return {
            f".{part}.txt": "".join(f"{part}/{row.name}\n" for row in told.of(part)) for part in (TRAIN, VAL)
        }

    def spec(self, out: Path, told: Told) -> str:
        """Return the source."""
        return f"moge:{out}"
