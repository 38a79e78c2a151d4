"""``listed:[SPEC],list=FILE``: what ``data split`` wrote of any set is read back, by names that sources give images."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from kdcli.errors import ConfigError, DataError, SpecError
from kdcli.plugins import registry
from kdcli.sources import load_source
from kdcli.sources.checks import survey
from kdcli.sources.dividing import divide, reading, write_lists
from kdcli.sources.of_list import listed
from kdcli.testing import check_source

sys.path.insert(0, str(Path(__file__).parent / "sets"))  # where the small true trees are

import trees_lasers
import trees_rooms
import trees_scannet
import trees_streets
import trees_sunrgbd


def scans(root: Path) -> None:
    for scene in ("scene0000_00", "scene0001_00"):
        trees_scannet.sens(root / scene / f"{scene}.sens", lost=False)


SETS: dict[str, Callable[[Path], object]] = {
    "diode": lambda root: trees_lasers.diode(root, splits=("val",)), "eth3d": trees_lasers.eth3d,
    "hypersim": trees_rooms.hypersim, "scannet": scans, "sunrgbd": trees_sunrgbd.sunrgbd,
    "vkitti2": trees_streets.vkitti2,
}  # fmt: skip


@pytest.mark.parametrize("name", SETS)
def test_scenes_that_were_divided_are_read_back(tmp_path: Path, name: str) -> None:
    SETS[name](tmp_path / "data")
    spec = f"{name}:{tmp_path}/data"
    whole = load_source(spec)
    division = divide(whole, spec, 0.5, "scene", seed=0)
    paths = tmp_path / "train.txt", tmp_path / "test.txt"
    write_lists(division, paths, whole.where, [])  # type: ignore[attr-defined]
    parts = [listed(f"[{spec}]", list=str(path)) for path in paths]
    ids = [[pair.id for pair in part.pairs] for part in parts]
    assert ids == [[pair.id for pair in pairs] for pairs in (division.train, division.test)]
    assert sorted(ids[0] + ids[1]) == sorted(pair.id for pair in whole.pairs)  # type: ignore[attr-defined]
    at = [pair.id for pair in whole.pairs].index(ids[1][0])  # type: ignore[attr-defined]
    one, same = parts[1][0], whole[at]
    assert one.depth is not None and same.depth is not None and torch.equal(one.depth, same.depth)
    assert one.intrinsics is None or torch.equal(one.intrinsics, same.intrinsics)  # type: ignore[arg-type]
    assert survey(parts[0]).errors == 0 and parts[0].name == name


def test_a_list_that_was_changed_is_named(tmp_path: Path) -> None:
    trees_lasers.diode(tmp_path / "data", splits=("val",))
    spec = f"diode:{tmp_path}/data"
    whole = load_source(spec)
    paths = tmp_path / "train.txt", tmp_path / "test.txt"
    write_lists(divide(whole, spec, 0.5, "scene", seed=0), paths, f"{tmp_path}/data", [])
    lines = paths[0].read_text().splitlines(keepends=True)
    paths[0].write_text("".join(lines[:-1]))
    assert any("changed" in one.message for one in listed(f"[{spec}]", list=str(paths[0])).check())


def test_names_of_any_form_and_what_does_not_fit(tmp_path: Path) -> None:
    trees_lasers.diode(tmp_path / "data", splits=("val",))
    spec = f"diode:{tmp_path}/data"
    pairs = load_source(spec).pairs  # type: ignore[attr-defined]
    path = tmp_path / "mine.txt"
    names = [pairs[2].id, Path(pairs[0].image).relative_to(tmp_path / "data"), pairs[1].image]
    path.write_text("".join(f"{name}\n" for name in names))
    found = listed(f"[{spec}]", list=str(path))
    assert [pair.id for pair in found.pairs] == [pairs[i].id for i in (2, 0, 1)]
    check_source(found)
    path.write_text("other.png\n")
    with pytest.raises(DataError, match=r"mine\.txt' line 1 names 'other\.png', which is none of the 4 images"):
        listed(f"[{spec}]", list=str(path))
    with pytest.raises(DataError, match=r"list 'no\.txt' does not exist"):
        listed(f"[{spec}]", list="no.txt")
    with pytest.raises(SpecError, match="names 2 sources"):
        listed(f"[{spec}|{spec}]", list=str(path))
    with pytest.raises(ConfigError, match="has no files"):
        listed("[sim:blocks,count=2]", list=str(path))


def test_how_a_list_is_read() -> None:
    assert reading("nyu:/data", "nyu", "a.txt") == "nyu:/data,list=a.txt"
    assert reading("nyu:/data,list=b.txt", "nyu", "a.txt") == "listed:[nyu:/data,list=b.txt],list=a.txt"
    assert reading("diode:/data,split=val", "diode", "a.txt") == "listed:[diode:/data,split=val],list=a.txt"


def test_a_list_of_sun_rgbd_without_a_split_is_not_passed_over(tmp_path: Path) -> None:
    trees_sunrgbd.sunrgbd(tmp_path)
    with pytest.raises(ConfigError, match=r"write listed:\[sunrgbd:"):
        load_source(f"sunrgbd:{tmp_path},list=mine.txt")


def test_it_is_a_plugin_where_the_package_is_installed_anew(tmp_path: Path) -> None:
    if "listed" not in registry.names("source"):
        pytest.skip("kdcli was installed before this source was; pip install -e .")
    trees_lasers.diode(tmp_path / "data", splits=("val",))
    (tmp_path / "a.txt").write_text(f"{load_source(f'diode:{tmp_path}/data').pairs[0].id}\n")  # type: ignore[attr-defined]
    assert len(load_source(f"listed:[diode:{tmp_path}/data],list={tmp_path}/a.txt")) == 1
