"""What one scene is, in the names of the layouts that people have."""

from __future__ import annotations

import pytest

from kdcli.sources.dividing.scenes import scene_name

SAME = {
    "Virtual KITTI 2": ("Scene20/clone/frames/rgb/Camera_0/rgb_00001.jpg", "rgb/Scene20/fog/frames/rgb/Camera_1/a.jpg"),
    "ScanNet": ("scene0406_02/color/000300.jpg", "scans/scene0406_00/color/7.jpg"),
    "Hypersim": ("ai_001_002/images/scene_cam_00_final_preview/frame.0000.tonemap.jpg", "val/ai_001_002/rgb_cam_1.png"),
    "DIODE": ("val/outdoor/scene_00022/scan_00196/a.png", "outdoor/scene_00022/scan_00197/b.png"),
    "KITTI": (
        "2011_09_26/2011_09_26_drive_0001_sync/image_02/data/0000000005.png",
        "raw/2011_09_26/2011_09_26_drive_0001_sync/image_03/data/0000000005.png",
    ),
    "NYU": ("basement_0001a/rgb_00050.jpg", "sync/basement_0001b/rgb_00000.jpg"),
    "two eyes": ("walk/left/1.png", "walk/right/1.png"),
}


@pytest.mark.parametrize("names", SAME.values(), ids=SAME)
def test_one_scene(names: tuple[str, str]) -> None:
    assert scene_name(names[0]) == scene_name(names[1]) != ""


def test_other_scenes() -> None:
    every = {scene_name(name) for names in SAME.values() for name in names}
    assert len(every) == len(SAME)
    assert scene_name("outdoor/scene_00022/a.png") != scene_name("indoors/scene_00022/a.png")


def test_levels() -> None:
    assert scene_name("a/b/c.png", 1) == "a" and scene_name("a/b/c.png", 2) == "a/b" == scene_name("a/b/c.png", 9)
    assert scene_name("c.png", 1) == ""
