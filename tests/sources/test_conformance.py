"""The conformance kit on the sources of real images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kdcli.testing import check_source


@pytest.mark.parametrize("kind", ["folder", "rgbd", "nyu", "kitti"])
def test_sources_pass_the_kit(tmp_path: Path, photo: Any, depth16: Any, kind: str) -> None:
    day = "2011_09_26/2011_09_26_drive_0001_sync/image_02/data"
    image, depth = {
        "folder": ("{}.png", "maps/{}.png"),
        "rgbd": ("rgb/{}.png", "depth/{}.png"),
        "nyu": ("sync/attic/rgb_{:05}.jpg", "sync/attic/sync_depth_{:05}.png"),
        "kitti": (day + "/{:010}.png", "train/2011_09_26_drive_0001_sync/proj_depth/groundtruth/image_02/{:010}.png"),
    }[kind]
    for i in range(4):
        photo(tmp_path / image.format(i), seed=i)
        depth16(tmp_path / depth.format(i), value=2560)
    check_source(f"{kind}:{tmp_path}" + (",depths=maps" if kind == "folder" else ""))
