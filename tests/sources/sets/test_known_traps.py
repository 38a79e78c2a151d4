"""What published sets are known to trip their readers with: `data check` names it, or the depth that went in comes out.

Traps that are no fault of the files have their tests beside the readers: rays that become depth and a wall that stays
flat (test_hypersim), sky (test_vkitti2), arrays of one channel and float masks (test_diode), splits that count from 1
and files of both versions of MATLAB (test_nyu_forms), cameras the other way round and planes that count from 1
(test_ibims), names that differ in the middle (test_kitti_sets), folder and name that change together (test_flat_sets),
doubled folders (test_rendered_sets), members that begin with ./ (test_marigold), pictures of depth in tables (tests of
kdcli-huggingface), scenes held out by a rule (test_vkitti2, tests/cli/test_data_split).
"""

from __future__ import annotations

import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trees_ibims
import trees_lasers
import trees_marigold
import trees_nyu
import trees_pairs
import trees_renders as renders
import trees_roads as roads
import trees_rooms
import trees_scannet
import trees_streets
import trees_sunrgbd
from PIL import Image

from kdcli.errors import KdcliError
from kdcli.sources import load_source
from kdcli.sources.checks import survey

METRES = np.linspace(2, 30, 12 * 40).reshape(12, 40).astype(np.float32)
POINTS = np.array([[10.0, 1.0, 0.0, 0.5], [20.0, -2.0, 0.3, 0.5]])
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + 64 * "0" + "\nsize 12\n"
Plant = Callable[[Path], object]


def said(spec: str) -> list[str]:
    """Return what `data check` says of a set: its findings, or the line with which it is refused."""
    try:
        return [finding.message for finding in survey(load_source(spec)).findings]
    except KdcliError as error:
        return [str(error)]


def first(root: Path, pattern: str) -> Path:
    return sorted(root.rglob(pattern))[0]


def photographed(root: Path) -> None:
    trees_lasers.eth3d(root)
    shutil.copy(first(root, "images/**/*.JPG"), first(root, "ground_truth_depth/**/*.JPG"))


def unmasked(root: Path) -> None:
    trees_lasers.diode(root)
    for path in root.rglob("*_depth_mask.npy"):
        path.unlink()


def counted_from_zero(root: Path) -> None:
    trees_nyu.labelled(root / "nyu_depth_v2_labeled.mat")
    trees_nyu.splits(root / "splits.mat", [0, 1], [2])


def scan(root: Path, **how: int) -> None:
    trees_scannet.sens(root / "scene0000_00/scene0000_00.sens", **how)  # type: ignore[arg-type]


def ended(root: Path) -> None:
    scan(root)
    path = first(root, "*.sens")
    path.write_bytes(path.read_bytes()[:-50])


def videos(root: Path) -> None:
    """Colour begins a frame before depth, as in sequences of Bonn."""
    for kind, begin in (("rgb", 0.0), ("depth", 0.033)):
        (root / kind).mkdir()
        names = [f"{kind}/{begin + 0.033 * i:.6f}.png" for i in range(4)]
        (root / f"{kind}.txt").write_text("".join(f"{name[len(kind) + 1 : -4]} {name}\n" for name in names))
        for i, name in enumerate(names):
            picture = np.full((30, 40, 3), 40 * i, np.uint8), np.full((30, 40), 5000 * (i + 1), np.uint16)
            Image.fromarray(picture[kind == "depth"]).save(root / name)


def saved_by_a_viewer(root: Path) -> None:
    trees_streets.vkitti2(root)
    path = first(root, "depth_*.png")
    with Image.open(path) as image:
        small = (np.asarray(image) / 257).astype(np.uint8)
    Image.fromarray(small).save(path)


NAMED: dict[str, tuple[Plant, str, str]] = {
    "ETH3D: a photograph where floats should be": (photographed, "eth3d:{}", r"is a JPEG of \d+ bytes, not depth"),
    "DIODE: masks that were not unpacked": (unmasked, "diode:{},split=val", "4 depth maps have no NAME_depth_mask.npy"),
    "SUN RGB-D: images of NYU": (trees_sunrgbd.sunrgbd, "sunrgbd:{}/SUNRGBD", "1 of 4 samples are NYU Depth v2's"),
    "NYU: splits that count from 0": (counted_from_zero, "nyu:{},split=train", "numbers of 0 to 1 for train"),
    "ScanNet: another version": (lambda root: scan(root, version=3), "scannet:{}", r"version 4 \(it says 3\)"),
    "ScanNet: occi": (lambda root: scan(root, depth=2), "scannet:{}", "packed as occi, which is not read"),
    "ScanNet: a last frame that is cut": (ended, "scannet:{}", "ends within frame 2 of 3"),
    "ScanNet: poses of a camera that was lost": (scan, "scannet:{}", "3 of 3 poses .* are infinite"),
    "ScanNet: the same in exported frames": (
        lambda root: trees_scannet.frames(root / "scene0000_00", [2, 10]), "scannet:{}", "2 of 2 poses .* are infinite",
    ),
    "MoGe: without its text": (
        lambda root: renders.moge(root, METRES, notes=False), "moge:{}", "no text chunks 'near' and 'far'",
    ),
    "YAML without a scale": (
        lambda root: trees_pairs.pairs(root, yaml=""), "pairs:{},split=val",
        r"no depth_scale, and 1000 in .* is 1 m for ultralytics and 3\.9 m for libreyolo",
    ),
    "Bonn: by place or by time": (
        videos, "rgbd:{}", "3 images have another depth map by their time than by their place",
    ),
    "8 bits of a viewer": (saved_by_a_viewer, "vkitti2:{}", "has 8 bits, and depth has 16 in this layout"),
}  # fmt: skip


@pytest.mark.parametrize("trap", NAMED)
def test_a_trap_is_named(tmp_path: Path, trap: str) -> None:
    plant, spec, words = NAMED[trap]
    plant(tmp_path)
    found = said(spec.format(tmp_path))
    assert any(re.search(words, one) for one in found), found


def test_cameras_that_were_not_lost_are_not_spoken_of(tmp_path: Path) -> None:
    trees_scannet.sens(tmp_path / "scene0000_00/scene0000_00.sens", lost=False)
    assert said(f"scannet:{tmp_path}") == []


POINTERS: dict[str, tuple[Plant, str, str]] = {
    "eth3d": (trees_lasers.eth3d, "eth3d:{}", "ground_truth_depth/**/*.JPG"),
    "diode": (trees_lasers.diode, "diode:{},split=val", "val/**/*_depth.npy"),
    "diode's mask": (trees_lasers.diode, "diode:{},split=val", "val/**/*_depth_mask.npy"),
    "hypersim": (trees_rooms.hypersim, "hypersim:{}", "*.depth_meters.hdf5"),
    "vkitti2": (trees_streets.vkitti2, "vkitti2:{}", "depth_*.png"),
    "sens": (scan, "scannet:{}", "*.sens"),
    "moge": (lambda root: renders.moge(root, METRES), "moge:{}", "depth.png"),
    "sintel": (lambda root: renders.sintel(root, METRES), "sintel:{}", "*.dpt"),
    "middlebury": (lambda root: renders.middlebury(root, METRES), "middlebury:{}", "disp0.pfm"),
    "tartanair": (lambda root: renders.tartanair(root, METRES), "tartanair:{}", "*_left_depth.npy"),
    "diml": (lambda root: renders.diml_indoor(root, METRES), "diml:{}", "*_depth_filled.png"),
    "booster": (lambda root: renders.booster(root, METRES), "booster:{}", "disp_00.npy"),
    "sunrgbd": (trees_sunrgbd.sunrgbd, "sunrgbd:{}/SUNRGBD", "depth_bfx/*.png"),
    "ddad": (lambda root: roads.ddad(root, METRES), "ddad:{}", "*_depth.npy"),
    "kitti-object": (lambda root: roads.objects(root, POINTS), "kitti-object:{}", "*.bin"),
    "kitti-selection": (lambda root: roads.selection(root, METRES), "kitti-selection:{}", "groundtruth_depth/*.png"),
    "kitti-stereo": (lambda root: roads.stereo(root, METRES), "kitti-stereo:{}", "disp_occ_0/*.png"),
    "marigold's tar": (trees_marigold.marigold, "marigold:{},set=nyu", "nyu_labeled_extracted.tar"),
    "nyu's mat": (lambda root: trees_nyu.labelled(root / "nyu_depth_v2_labeled.mat"), "nyu:{}", "*.mat"),
    "fastdepth": (trees_nyu.fastdepth, "nyu:{},split=train", "*.h5"),
    "ibims": (trees_ibims.pictures, "ibims:{}", "depth/*.png"),
    "ibims' mat": (trees_ibims.matlab, "ibims:{}", "*.mat"),
    "pairs": (trees_pairs.pairs, "pairs:{},split=val", "depth/val/*.png"),
}  # fmt: skip


@pytest.mark.parametrize("name", POINTERS)
def test_a_pointer_in_place_of_any_file_is_named_once(tmp_path: Path, name: str) -> None:
    plant, spec, pattern = POINTERS[name]
    plant(tmp_path)
    first(tmp_path, pattern).write_text(POINTER)
    about = [one for one in said(spec.format(tmp_path)) if "git lfs pull" in one]
    assert len(about) == 1 and f"'{first(tmp_path, pattern)}' is a Git LFS pointer" in about[0]


def test_a_pointer_within_a_tar(tmp_path: Path) -> None:
    trees_marigold.marigold(tmp_path, packed=False, sets=("kitti",))
    folder = first(tmp_path, "kitti_eigen_split_test")
    first(folder, "**/groundtruth/**/*.png").write_text(POINTER)
    with tarfile.open(folder.with_suffix(".tar"), "w") as tar:
        tar.add(folder, ".")
    shutil.rmtree(folder)
    about = said(f"marigold:{tmp_path},set=kitti")
    assert sum("git lfs pull" in one and "kitti_eigen_split_test.tar:" in one for one in about) == 1
