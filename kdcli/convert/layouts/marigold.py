"""Marigold: folders of images and of depth with a list file for each part, a line an image.

Read in prs-eth/Marigold (``src/dataset``). Which number a metre is says the class of the data set there: 1000 for NYU,
ScanNet and Hypersim, 256 for KITTI.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from kdcli.convert.layouts.layout import TRAIN, VAL, Item, Layout, Told


class Marigold(Layout):
    """``rgb`` and ``depth`` with ``filename_list_train.txt``: ``image depth``, relative to the folder."""

    name: ClassVar[str] = "marigold"
    images: ClassVar[Literal["jpg", "png"]] = "png"
    depths: ClassVar[tuple[str, ...]] = ("png",)
    scales: ClassVar[tuple[float, ...]] = (1000.0, 256.0)
    bound: ClassVar[bool] = True

    def files(self, item: Item, several: bool) -> dict[str, bytes]:
        """Return depth and picture."""
        assert item.depth is not None
        return {
            f"depth/{item.split}/{item.name}.png": item.depth,
            f"rgb/{item.split}/{item.name}.{item.ending}": item.picture,
        }

    def lists(self, told: Told) -> dict[str, str]:
        """Return a list for each part."""
        parts = (TRAIN, VAL) if told.several else (TRAIN,)
        return {
            f"filename_list_{part}.txt": "".join(f"{row.files[1]} {row.files[0]}\n" for row in told.of(part))
            for part in parts
        }

    def spec(self, out: Path, told: Told) -> str:
        """Return the source."""
        kind = "scannet" if told.scale == self.scales[0] else "kitti"
        return f"marigold:{out},list=filename_list_{TRAIN}.txt,set={kind}"
