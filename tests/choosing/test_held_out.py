"""What is kept out of training, and by which rules it is measured."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import ROOM, built, kitti, nyu, objects, partly, photos, rgbd

from kdcli.choosing import Built
from kdcli.choosing.depths import some_depths
from kdcli.choosing.held_out import held_out, with_split
from kdcli.choosing.measuring import cut_for, measured_on, protocol_for
from kdcli.evals.protocol import find
from kdcli.types import MadeFor

DRIVING = MadeFor(train_size=(352, 704), domain="driving", near=1e-3, far=80.0)


def ids(spec: str, shelf: Built) -> list[str]:
    source = shelf.source(spec)
    return [source[i].id for i in range(len(source))]


@pytest.mark.parametrize(
    "choice", ["", ",start=3", ",every=2", ",start=2,stop=17,every=3", ",count=11", ",start=4,count=9"]
)
def test_the_end_is_kept_out_of_whatever_was_chosen(tmp_path: Path, choice: str) -> None:
    shelf, data = Built(), rgbd(tmp_path) + choice
    parted = held_out(data, shelf)
    assert parted is not None
    train, measured = (ids(spec, shelf) for spec in parted[:2])
    assert train + measured == ids(data, shelf) and len(measured) == 1 + (len(train) > 13)
    assert "kept out of training" in parted[2]


def test_what_cannot_be_parted(tmp_path: Path) -> None:
    shelf, data = Built(), rgbd(tmp_path)
    assert held_out(f"{data},count=9,seed=3", shelf) is None  # a random choice has no end
    assert held_out(f"{data},count=1", shelf) is None
    last = partly(tmp_path / "last", 20, range(18, 20))  # nothing with depth would be left to learn from
    assert held_out(last, shelf) is None


def test_depth_is_found_where_few_images_have_any(tmp_path: Path) -> None:
    few = Built().source(partly(tmp_path / "few", 20, range(4, 6)))
    assert sorted(some_depths(few).unique().tolist()) == pytest.approx([2.4, 2.5])
    assert not len(some_depths(Built().source(photos(tmp_path / "none", 20))))


def test_a_split_of_the_source_is_taken_where_it_is_another(tmp_path: Path) -> None:
    shelf, both = Built(), nyu(tmp_path / "both", split=True)
    assert with_split(both, shelf) == f"{both},split=train"
    assert held_out(f"{both},split=train,crop=border", shelf) == (
        f"{both},split=train,crop=border", f"{both},split=test", "the source's split=test",
    )  # protocols cut frames themselves
    one = nyu(tmp_path / "one", split=False)
    assert with_split(one, shelf) == one
    parted = held_out(one, shelf)
    assert parted is not None and "start=" in parted[1]


def test_other_scenes_of_a_simulated_world() -> None:
    shelf = Built()
    for seed in (0, 1000):
        train, measured, _ = held_out(f"sim:interiors,count=9,seed={seed}", shelf) or ("", "", "")
        assert train == f"sim:interiors,count=9,seed={seed}" and f"seed={seed}" not in measured
        assert measured.startswith("sim:interiors,count=128,seed=1")


def test_where_a_run_is_measured(tmp_path: Path) -> None:
    shelf, tested = Built(), MadeFor(domain="indoor", test="sim:rooms,count=4,seed=9")
    plain, ids_only, deep = photos(tmp_path / "a"), objects(tmp_path / "b"), rgbd(tmp_path / "c")
    assert measured_on(plain, tested, shelf)[1:] == (None, "the images have no depth")
    assert measured_on(deep, tested, shelf)[1] == f"{deep},start=18"
    # Images that the teacher's world is not made of are no images of it.
    assert measured_on(ids_only, tested, shelf)[1] == measured_on("sim:noise", tested, shelf)[1] == tested.test
    world = "sim:interiors,count=128,seed=1000"
    assert measured_on(ids_only, ROOM, shelf)[1] == measured_on("sim:noise", ROOM, shelf)[1] == world
    assert measured_on("sim:interiors,count=3000", ROOM, shelf)[1] == world


def test_protocols_follow_the_source_and_the_range(tmp_path: Path) -> None:
    shelf = Built()
    small, whole = nyu(tmp_path / "a", split=False), nyu(tmp_path / "b", split=False, height=480, width=640)
    assert protocol_for(whole, ROOM, shelf)[0] == "nyu-eigen"
    assert protocol_for(small, ROOM, shelf)[0] == "plain+min0.1+max8"
    street = kitti(tmp_path / "c", count=2, height=375, width=1242)
    assert protocol_for(street, DRIVING, shelf)[0] == "kitti-garg"
    assert protocol_for(kitti(tmp_path / "d", count=2), DRIVING, shelf)[0] == "plain+max80"
    beyond = "the images' depth lies beyond the teacher's range"
    assert protocol_for(kitti(tmp_path / "d"), ROOM, shelf) == ("plain", beyond)
    assert protocol_for("sim:rooms,count=2", MadeFor(), shelf)[0] == protocol_for(None, ROOM, shelf)[0] == "plain"
    for name in ("plain+min0.1+max8", "plain+max80"):
        find(name)


def test_frames_are_cut_where_the_teachers_authors_cut_them(tmp_path: Path) -> None:
    shelf, street = Built(), kitti(tmp_path / "c", count=2, height=375, width=1242)
    assert cut_for(street, DRIVING, shelf) == f"{street},crop=kb"
    assert cut_for(f"{street},crop=none", DRIVING, shelf) == f"{street},crop=none"
    for other in (ROOM, MadeFor(train_size=(256, 512), eval_size=(256, 512), domain="driving")):
        assert cut_for(street, other, shelf) == street
    small = kitti(tmp_path / "d", count=2)
    assert cut_for(small, DRIVING, shelf) == small


def test_the_shelf_builds_once(tmp_path: Path) -> None:
    shelf, data = built(), rgbd(tmp_path)
    assert shelf.source(data) is shelf.source(data) and shelf.teacher("mine") is shelf.teacher("mine")
