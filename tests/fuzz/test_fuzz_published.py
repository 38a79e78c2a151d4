"""What published sets have beside images and depth, damaged in seeded ways: YAML, lists, tars, cameras, tables."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import trees_lasers
import trees_marigold
import trees_pairs
import trees_rooms
import trees_streets
from mutations import damaged, damaged_document, inputs, shown

Judge = Callable[..., int]
NUMBERS = {"data-yaml": 40, "marigold-list": 25, "marigold-tar": 25, "colmap": 20, "intrinsic": 15, "splits": 15,
           "hypersim-hdf5": 20, "eth3d-depth": 10}  # fmt: skip
INPUTS = sum(NUMBERS.values())


def check(judge: Judge, name: str, path: Path, spec: str, damage: Callable[..., bytes] = damaged) -> None:
    """Judge the check of a set as it is, then with one file damaged in many ways."""
    assert judge("as it is", "data", "check", spec, "--json", "--quiet") == 0
    content = path.read_bytes()
    for what, draw in inputs(name, NUMBERS[name]):
        bad = damage(content, draw)
        path.write_bytes(bad)
        judge(f"{what}: {shown(bad)}", "data", "check", spec, "--json", "--quiet")


def test_damaged_data_yaml(judge: Judge, folder: Path) -> None:
    path = trees_pairs.pairs(folder / "set")
    content = {"path": "x", "train": ["images/train"], "val": "images/val", "names": {"0": "depth"}, "max_depth": 80,
               "depth_scale": 1000, "depths_dir": "depth", "depth_stem_suffix": "", "depth_mask_suffix": "_mask"}
    path.write_text(json.dumps(content))  # JSON is YAML
    check(judge, "data-yaml", path, "pairs:set,split=val", lambda text, draw: damaged_document(text, draw, "json"))


@pytest.mark.parametrize("name", ["nyu", "kitti", "diode"])
def test_damaged_lists(judge: Judge, folder: Path, name: str) -> None:
    trees_marigold.marigold(folder / "set", sets=(name,))
    path = folder / "set/data_split" / trees_marigold.SETS[name].list
    check(judge, "marigold-list", path, f"marigold:set,set={name}")


def test_damaged_tars(judge: Judge, folder: Path) -> None:
    trees_marigold.marigold(folder / "set", sets=("nyu",))
    check(judge, "marigold-tar", folder / "set" / trees_marigold.SETS["nyu"].archive, "marigold:set,set=nyu")


def test_damaged_cameras(judge: Judge, folder: Path) -> None:
    trees_lasers.eth3d(folder / "set", per_scene=1)
    check(judge, "colmap", folder / "set/pipes/dslr_calibration_jpg/cameras.txt", "eth3d:set,scenes=pipes")
    trees_streets.vkitti2(folder / "streets", ids=False)
    check(judge, "intrinsic", folder / "streets/Scene01/fog/intrinsic.txt", "vkitti2:streets,variations=fog")


def test_damaged_depth_without_header(judge: Judge, folder: Path) -> None:
    trees_lasers.eth3d(folder / "set", per_scene=1)
    path = folder / "set/pipes/ground_truth_depth/dslr_images/DSC_0286.JPG"
    check(judge, "eth3d-depth", path, "eth3d:set,scenes=pipes")


def test_damaged_files_of_hypersim(judge: Judge, folder: Path) -> None:
    trees_rooms.hypersim(folder / "set", preview=False)
    check(judge, "splits", folder / "set/metadata_images_split_scene_v1.csv", "hypersim:set,split=val")
    trees_rooms.hypersim(folder / "set", preview=False)
    images = folder / "set/ai_003_010/images"
    for kind in ("geometry_hdf5/frame.0000.render_entity_id", "geometry_hdf5/frame.0000.semantic_instance",
                 "final_hdf5/frame.0000.color"):
        path = images / f"scene_cam_00_{kind}.hdf5"
        content = path.read_bytes()
        check(judge, "hypersim-hdf5", path, "hypersim:set,split=val")
        path.write_bytes(content)
