"""``kitti-selection:ROOT``: the selected frames of KITTI's depth completion and prediction benchmark."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

from kdcli.codecs import CODECS
from kdcli.protocols import API_VERSION
from kdcli.rasters import file_of
from kdcli.sources.lists import existing_root
from kdcli.sources.pairing.left_out import LeftOut
from kdcli.sources.pairs import Pair, Selection
from kdcli.sources.sets.by_rule import names_below, pairs_by_rule
from kdcli.sources.sets.sixteen import distance
from kdcli.sources.sets.sixteen_bit_source import SixteenBitSource
from kdcli.sources.texts.numbers import read_camera

_SELECTED = re.compile(r"(.*?)image/([^/]*_sync_)image(_\d+_image_0[23])\.png")
"""Of an image: the kind of file stands in the folder and in the middle of the name."""
_ANONYMOUS = re.compile(r"image/\d+\.png")
_TESTS = ("test_depth_completion_anonymous", "test_depth_prediction_anonymous")


class KittiSelectionSource(SixteenBitSource):
    """Frames of ``val_selection_cropped``, 1216 x 352, with annotated depth and the camera of each.

    ROOT is that folder or holds it (``depth_selection``). The anonymous test frames have no depth and are used where
    ROOT is their folder. max_depth: metres beyond which depth is left out. start, stop, every, count, seed: as in
    ``Selection``.
    """

    api_version: ClassVar[int] = API_VERSION
    name = "kitti-selection"
    domain = "driving"
    usual_median = (1.0, 80.0)
    codec = CODECS["kitti"]

    def __init__(
        self, *, location: str, max_depth: float | None = None, start: int = 0, stop: int | None = None,
        every: int = 1, count: int | None = None, seed: int | None = None,
    ) -> None:
        root, left = existing_root(location), LeftOut()
        test = root.resolve().name in _TESTS

        def truth(name: str) -> list[str] | None:
            if match := _SELECTED.fullmatch(name):
                return [f"{match[1]}groundtruth_depth/{match[2]}groundtruth_depth{match[3]}.png"]
            return [] if test and _ANONYMOUS.fullmatch(name) else None

        pairs = pairs_by_rule(
            root, names_below(root, {".png"}), truth, left=left, depths=lambda name: "groundtruth_depth/" in name,
            wanted="image/DRIVE_sync_image_FRAME_image_0X.png of val_selection_cropped",
        )
        selection = Selection(start=start, stop=stop, every=every, count=count, seed=seed)
        super().__init__(pairs, selection=selection, scale=None, where=location, notes=left.findings())
        self.furthest = distance(max_depth)

    def camera(self, pair: Pair, height: int, width: int) -> tuple[float, float, float, float] | None:
        """Return the camera of the frame's file in ``intrinsics``, or None where there is none.

        Raises:
            DataError: it cannot be read.
        """
        path = _intrinsics(file_of(pair.image))
        return read_camera(path) if path.is_file() else None


def _intrinsics(image: Path) -> Path:
    return image.parent.parent / "intrinsics" / f"{image.stem}.txt"
