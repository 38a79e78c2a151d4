"""Layouts of public data sets, by their names alone: which files ``rgbd:`` and ``folder:`` take for a pair."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kdcli.sources import load_source
from kdcli.sources.checks import survey
from kdcli.sources.matching import match_names
from kdcli.sources.roles import Role, bare, role_of

LAYOUTS = {
    "vkitti2": (
        "Scene01/clone/frames/rgb/Camera_{0}/rgb_{1:05}.jpg", "Scene01/clone/frames/depth/Camera_{0}/depth_{1:05}.png",
    ),
    "vkitti2-apart": (
        "vkitti_2.0.3_rgb/Scene01/clone/frames/rgb/Camera_{0}/rgb_{1:05}.jpg",
        "vkitti_2.0.3_depth/Scene01/clone/frames/depth/Camera_{0}/depth_{1:05}.png",
    ),
    "vkitti2-two-roots": (
        "rgb/Scene01/clone/frames/rgb/Camera_{0}/rgb_{1:05}.jpg",
        "depth/Scene01/clone/frames/depth/Camera_{0}/depth_{1:05}.png",
    ),
    "tartanair": (
        "env/env/Easy/P00{0}/image_left/{1:06}_left.png", "env/env/Easy/P00{0}/depth_left/{1:06}_left_depth.png",
    ),
    "tartanair2": (
        "Data_easy/P00{0}/image_lcam_front/{1:06}_lcam_front.png",
        "Data_easy/P00{0}/depth_lcam_front/{1:06}_lcam_front_depth.png",
    ),
    "replica": ("office{0}/results/frame{1:06}.jpg", "office{0}/results/depth{1:06}.png"),
    "kitti-selection": (
        "image/2011_09_26_drive_000{0}_sync_image_{1:010}_image_02.png",
        "groundtruth_depth/2011_09_26_drive_000{0}_sync_groundtruth_depth_{1:010}_image_02.png",
    ),
    "matterport": ("matterport_color_images/ab12_i{0}_{1}.jpg", "matterport_depth_images/ab12_d{0}_{1}.png"),
    "diml-indoor": ("HR/{0}/color/{1}_c.png", "HR/{0}/depth_filled/{1}_depth_filled.png"),
    "diml-outdoor": ("{0}/outleft/{1}.png", "{0}/depthmap/{1}.png"),
    "scannet": ("scene{0}/color/{1}.jpg", "scene{0}/depth/{1:06}.png"),
    "moge": ("{0}/{1}/image.jpg", "{0}/{1}/depth.png"),
    "hypersim-processed": ("ai_{0}/rgb_cam_00_fr{1:04}.png", "ai_{0}/depth_plane_cam_00_fr{1:04}.png"),
    "structured3d": ("scene_{0}/full/{1}/rgb_rawlight.png", "scene_{0}/full/{1}/depth.png"),
    "sun-rgbd": ("kv2/{0}/{1}/image/{1:07}.jpg", "kv2/{0}/{1}/depth/0{1}_abs.png"),
    "plain-beside-depth": ("{0}{1:04}.png", "{0}{1:04}_depth.png"),
    "double-ending": ("rgb/{0}/{1}.jpg", "depth/{0}/{1}.jpg.png"),
    "camel": ("{0}/rgbImage{1}.png", "{0}/depthMap{1}.png"),
    "by-ending": ("{0}/{1}.jpg", "{0}/{1}.png"),
    "ground-truth-folder": ("{0}/left/{1}.png", "{0}/ground_truth_depth/{1}.png"),
    "sun-flat": ("{0}/rgb/{1:06}.jpg", "{0}/gt/{1:06}.png"),
    "maps-among-images": ("{0}/train/{1}.png", "{0}/train/depth/{1}.png"),
    "images-among-maps": ("{0}/rgb/{1}.png", "{0}/{1}.png"),
    "words-behind": ("{0}/rgb_img/{1}_colors.png", "{0}/depth_img/{1}_depth.png"),
    "capitals": ("{0}/RGB/IMG_{1}.JPG", "{0}/Depth/IMG_{1}_depth.png"),
    "numbers-written-otherwise": ("rgb/{0}-{1}.png", "depth/{0}-{1:03}.png"),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_image_gets_its_own_depth(tmp_path: Path, photo: Any, depth16: Any, layout: str) -> None:
    image, depth = LAYOUTS[layout]
    for scene in (0, 1):
        for i in range(3):
            photo(tmp_path / image.format(scene, i), seed=10 * scene + i)
            depth16(tmp_path / depth.format(scene, i), value=1000 + 100 * scene + i)
    source = load_source(f"rgbd:{tmp_path}")
    found = {s.id: round(s.depth.mean().item(), 3) for s in map(source.__getitem__, range(len(source)))}
    assert found == {image.format(s, i): round(1 + s / 10 + i / 1000, 3) for s in (0, 1) for i in range(3)}
    assert not [f.message for f in source.check() if f.level != "info"]


def test_folder_follows_the_same_rule(tmp_path: Path, photo: Any, depth16: Any) -> None:
    for i in range(3):
        photo(tmp_path / "rgb" / f"a_rgb_{i}.png", seed=i)
        depth16(tmp_path / "depth" / f"a_depth_{i:04}.png", value=1000 + i)
        depth16(tmp_path / "masks" / f"a_instance_{i}.png", value=i + 1)
    source = load_source(f"folder:{tmp_path}/rgb,depths={tmp_path}/depth,instances={tmp_path}/masks")
    assert [(round(s.depth.mean().item(), 3), int(s.instances.max())) for s in map(source.__getitem__, range(3))] == [
        (1.0, 1), (1.001, 2), (1.002, 3),
    ]  # fmt: skip


def test_other_pictures_beside_are_neither_images_nor_depth(tmp_path: Path, photo: Any, depth16: Any) -> None:
    for kind in ("image_left", "image_right", "depth_left", "seg_left", "flow"):
        for i in range(2):
            side = kind.rpartition("_")[2]
            name = f"{i:06}_{side}" + {"depth": "_depth", "seg": "_seg"}.get(kind.partition("_")[0], "")
            (depth16 if kind.startswith("depth") else photo)(tmp_path / kind / f"{name}.png")
    report = survey(load_source(f"rgbd:{tmp_path}"))
    assert report.n == 2
    (left,) = [f.message for f in report.findings if "left out" in f.message]
    assert left.startswith("2 images have no depth map") and "image_right/000000_right.png" in left


def test_what_role_a_name_has() -> None:
    roles = {
        "rgb": Role.IMAGE, "discolored": Role.NONE, "depth000012": Role.DEPTH, "image_depth": Role.DEPTH,
        "rgbImage": Role.IMAGE, "framework": Role.NONE, "0001_depth_mask": Role.MASK, "groundtruth_depth": Role.DEPTH,
        "disp_noc_0": Role.DISPARITY, "velodyne_raw": Role.OTHER, "nothing": Role.NONE, "DepthMap": Role.DEPTH,
    }  # fmt: skip
    assert {name: role_of(name) for name in roles} == roles
    assert bare("rgb/Camera_0/rgb_00012") == "camera_0/00012"
    assert bare("a/000.jpg", numbers=True) == "a/0"
    assert bare("1305.0160", numbers=True) == "1305.0160"


def names(*pairs: str) -> dict[str, Path]:
    return {name: Path(name) for name in pairs}


@pytest.mark.parametrize(
    ("images", "depths", "found"),
    [
        (["1", "2", "10"], ["1", "02", "010"], {"1": "1", "2": "02", "10": "010"}),
        (["1", "01"], ["001"], {}),
        (["5", "05"], ["5"], {"5": "5"}),
        (["a/9", "b/9"], ["a/8", "b/9"], {"b/9": "b/9"}),
        (["a/8", "b/9"], ["a/8", "a/9"], {"a/8": "a/8"}),
        (["x_left", "x_right"], ["x_depth"], {"x_left": "x_depth"}),
        (["im0", "im1"], ["disp"], {}),
        (["1.02"], ["1.2"], {}),
        (["left/1", "right/1"], ["d/1"], {}),
        (["a.color", "a"], ["a.depth"], {"a.color": "a.depth"}),
    ],
)
def test_names_are_matched_one_by_one(images: list[str], depths: list[str], found: dict[str, str]) -> None:
    matched = match_names(names(*images), names(*depths))
    assert {name: str(path) for name, path in matched.items()} == found
