"""Containers of public data sets, damaged in seeded ways: recordings, MATLAB and HDF5 files, annotations, cameras."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import trees_ibims
import trees_nyu
import trees_scannet
import trees_sunrgbd
from containers import damaged_head
from mutations import damaged, damaged_document, inputs, shown

Judge = Callable[..., int]
_LABELLED = "nyu_depth_v2_labeled.mat"
_INDEX = "SUNRGBD/kv1/NYUdata/NYU0001/annotation2Dfinal/index.json"
_CAMERA = "SUNRGBD/kv1/NYUdata/NYU0001/intrinsics.txt"


def _scannet(root: Path) -> None:
    trees_scannet.sens(root / "a.sens", 3)


def _labelled(root: Path) -> None:
    trees_nyu.labelled(root / _LABELLED)
    trees_nyu.splits(root / "splits.mat", [3, 4], [1, 2])


def _labelled_5(root: Path) -> None:
    trees_nyu.labelled(root / _LABELLED, 5)
    trees_nyu.splits(root / "splits.mat", [3, 4], [1, 2])


def _sunrgbd(root: Path) -> None:
    names = list(trees_sunrgbd.SAMPLES)
    trees_sunrgbd.sunrgbd(root, names[:2])
    trees_sunrgbd.lists(root, train=names[1:2], test=names[:1]).rename(root / "allsplit.mat")


FILES: dict[str, tuple[Callable[[Path], object], str, str, int]] = {
    "sens": (_scannet, "a.sens", "scannet:set", 60),
    "labelled": (_labelled, _LABELLED, "nyu:set", 40),
    "labelled-5": (_labelled_5, _LABELLED, "nyu:set", 30),
    "splits": (_labelled, "splits.mat", "nyu:set,split=test", 20),
    "fastdepth": (trees_nyu.fastdepth, "val/official/00001.h5", "nyu:set,split=test", 30),
    "allsplit": (_sunrgbd, "allsplit.mat", "sunrgbd:set,split=test", 30),
    "polygons": (_sunrgbd, _INDEX, "sunrgbd:set", 40),
    "intrinsics": (_sunrgbd, _CAMERA, "sunrgbd:set", 20),
    "ibims": (trees_ibims.matlab, f"{trees_ibims.NAMES[0]}.mat", "ibims:set", 20),
}
"""Name -> who makes the set, the file that is damaged, the source, how many times."""
INPUTS = sum(number for *_, number in FILES.values())


@pytest.mark.parametrize("name", FILES)
def test_damaged_files_of_sets(judge: Judge, folder: Path, name: str) -> None:
    make, file, spec, number = FILES[name]
    make(folder / "set")
    path = folder / "set" / file
    content = path.read_bytes()
    assert judge("as it is", "data", "check", spec, "--quiet") == 0
    ways: Sequence[Callable[..., bytes]] = (damaged, damaged_head, damaged_head)
    if path.suffix == ".json":
        ways = (lambda whole, draw: damaged_document(whole, draw, "json"),)
    for what, draw in inputs(name, number):
        bad = draw.choice(ways)(content, draw)
        path.write_bytes(bad)
        judge(f"{what}: {shown(bad)}", "data", "check", spec, "--json", "--quiet")
