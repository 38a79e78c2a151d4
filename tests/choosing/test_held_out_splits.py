"""Sets with a split for validation are parted by it: whichever splits their source knows and their folder has."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import trees
from trees_lasers import diode
from trees_pairs import pairs
from trees_renders import moge
from trees_scannet import frames
from trees_streets import vkitti2

from kdcli.choosing import Built
from kdcli.choosing.held_out import held_out, splits_to_measure, with_split
from kdcli.choosing.recipe import which
from kdcli.spec import parse

METRES = np.linspace(1, 9, 24 * 32, dtype=np.float32).reshape(24, 32)


def a_vkitti(root: Path) -> str:
    vkitti2(root)
    return f"vkitti2:{root}"


def a_diode(root: Path) -> str:
    diode(root)
    return f"diode:{root}"


def some_pairs(root: Path) -> str:
    return f"pairs:{pairs(root)}"


def a_moge(root: Path) -> str:
    moge(root, METRES)
    (root / ".train.txt").write_text("scene_b/0001\n")
    (root / ".val.txt").write_text("scene_a/0007\n")
    return f"moge:{root}"


def scans(root: Path) -> str:
    for split, number in (("train", 0), ("val", 1), ("test", 2)):
        frames(root / f"scene000{number}_00", [1, 2])
        (root / f"scannetv2_{split}.txt").write_text(f"scene000{number}_00\n")
    return f"scannet:{root}"


SETS = {"vkitti2": a_vkitti, "diode": a_diode, "pairs": some_pairs, "moge": a_moge}


@pytest.mark.parametrize("kind", SETS)
def test_validation_stands_in_for_a_test(tmp_path: Path, kind: str) -> None:
    shelf, data = Built(), SETS[kind](tmp_path)
    assert with_split(data, shelf) == f"{data},split=train"
    for given in (f"{data},split=train", f"{data},split=train,start=0"):
        assert held_out(given, shelf) == (given, f"{data},split=val", "the source's split=val")
    assert with_split(f"{data},split=val", shelf) == f"{data},split=val"


@pytest.mark.parametrize("kind", ["vkitti2", "moge"])
def test_all_that_a_set_has_is_parted_likewise(tmp_path: Path, kind: str) -> None:
    """Sets that may be opened without a split."""
    data = SETS[kind](tmp_path)
    assert held_out(data, Built()) == (f"{data},split=train", f"{data},split=val", "the source's split=val")


def test_one_split_is_parted_by_its_end(tmp_path: Path) -> None:
    parted = held_out(f"{a_vkitti(tmp_path)},split=val", Built())
    assert parted is not None and all("split=val" in spec for spec in parted[:2]) and "the last" in parted[2]


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        ("kitti nyu sunrgbd", ["test"]), ("diode moge scenenet vkitti2", ["val"]),
        ("hypersim pairs scannet", ["test", "val"]), ("folder ibims rgbd sim", []),
    ],
)
def test_what_kinds_of_sources_know(names: str, splits: list[str]) -> None:
    assert [splits_to_measure(parse(f"{name}:x")) for name in names.split()] == [splits] * len(names.split())


def test_a_test_is_better_where_it_has_depth(tmp_path: Path) -> None:
    data = scans(tmp_path)
    assert held_out(f"{data},split=train", Built()) == (
        f"{data},split=train", f"{data},split=test", "the source's split=test",
    )
    shutil.rmtree(tmp_path / "scene0002_00")  # its list is published with the others
    assert with_split(data, Built()) == f"{data},split=train"
    parted = held_out(data, Built())
    assert parted == (f"{data},split=train", f"{data},split=val", "the source's split=val")


def test_the_same_images_are_no_validation(tmp_path: Path) -> None:
    data = a_moge(tmp_path)
    (tmp_path / ".val.txt").write_text("scene_b/0001\n")
    assert with_split(data, Built()) == data
    # A whole set stays one: vkitti2 without the scene that is held out.
    street = a_vkitti(tmp_path / "street")
    shutil.rmtree(tmp_path / "street" / "Scene20")
    assert with_split(street, Built()) == street
    parted = held_out(street, Built())
    assert parted is not None and "the last" in parted[2]


def test_the_default_recipe_trains_on_the_split_for_training(tmp_path: Path) -> None:
    data = a_diode(tmp_path)  # which cannot be opened without a split
    found = which({"data": data}, (), Built())
    assert (found.recipe, found.data) == ("supervised", f"{data},split=train")
    alone = trees.rgbd(tmp_path / "rgbd")
    assert which({"data": alone}, (), Built()).data == alone
