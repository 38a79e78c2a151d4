from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from PIL import Image

from kdcli.errors import ConfigError
from kdcli.plugins.blame import owner_of
from kdcli.sources import load_source
from kdcli.sources.folder import FolderSource
from kdcli.sources.splitting import scene_of, split
from kdcli.sources.subset import subset


def photographs(root: Path, *names: str) -> FolderSource:
    for i, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6), (i, 0, 0)).save(path)
    return FolderSource(location=str(root), recursive=True)


class Many:
    """A source whose images must not be read."""

    name, depth_kind = "many", None

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> None:
        raise AssertionError("read")

    def check(self) -> list[object]:
        return []


def runs_of(positions: list[int]) -> int:
    """Return how many stretches of neighbours there are."""
    return sum(1 for i, p in enumerate(positions) if i == 0 or positions[i - 1] != p - 1)


@pytest.mark.parametrize(
    ("count", "share", "held", "stretches"),
    [
        (2, 0.1, 1, 1), (3, 0.5, 1, 1), (4, 0.1, 1, 1), (188, 0.1, 19, 1), (320, 0.1, 32, 2), (480, 0.1, 48, 3),
        (5000, 0.1, 500, 5), (5001, 0.5, 2500, 5), (5003, 0.123, 615, 5),
    ],
)
def test_stretches_are_held_out_without_reading(count: int, share: float, held: int, stretches: int) -> None:
    found = split(Many(count), "many", share, "index")  # type: ignore[arg-type]
    out, kept = found.held_out.tolist(), found.training.tolist()
    assert sorted(out + kept) == list(range(count)) and out == sorted(out) and kept == sorted(kept)
    assert len(out) == held and runs_of(out) == stretches
    assert out[-1] == count - 1


def test_a_split_is_told_by_counts_rule_and_hashes(tmp_path: Path) -> None:
    source = photographs(tmp_path, *(f"p{i:02}.png" for i in range(20)))
    told = split(source, "s", 0.1, "index").document(source)
    assert (told["images"], told["held_out"], told["training"], told["sha256_of"]) == (20, 2, 18, "ids")
    assert told == split(FolderSource(location=str(tmp_path)), "s", 0.1, "index").document(source)
    (tmp_path / "p19.png").rename(tmp_path / "p99.png")
    source = FolderSource(location=str(tmp_path))
    other = split(source, "s", 0.1, "index").document(source)
    assert other["sha256"]["held_out"] != told["sha256"]["held_out"]
    assert other["sha256"]["training"] == told["sha256"]["training"]
    many = split(Many(20), "many", 0.1, "index").document(Many(20))  # type: ignore[arg-type]
    assert many["sha256_of"] == "positions" and many["sha256"]["held_out"] != told["sha256"]["held_out"]


def test_whole_folders_are_held_out(tmp_path: Path) -> None:
    names = [f"scene{s}/{eye}/data/{i}.png" for s in range(10) for eye in ("image_02", "image_03") for i in range(3)]
    source = photographs(tmp_path, *names)
    found = split(source, "s", 0.2, "folder")
    out = {source.pairs[i].id.split("/")[0] for i in found.held_out}
    kept = {source.pairs[i].id.split("/")[0] for i in found.training}
    assert len(out) == 2 and len(found.held_out) == 12 and not out & kept
    assert found.rule.startswith("2 of 10 folders")
    more = photographs(tmp_path, *names, *(f"scene{s}/left/{i}.png" for s in range(10) for i in range(3)))
    again = split(more, "s", 0.2, "folder")
    assert {more.pairs[i].id.split("/")[0] for i in again.held_out} == out, "more images of a scene move none"


@pytest.mark.parametrize(
    ("name", "scene"),
    [
        ("a/b/rgb/1.png", "a/b"), ("drive/image_02/data/0.png", "drive"), ("left/1.png", ""), ("1.png", ""),
        ("kitchen/1.png", "kitchen"), ("images_of_kitchen/1.png", "images_of_kitchen"), ("a/cam0/1.png", "a"),
        ("room/Color/1.png", "room"), ("database/1.png", "database"),
    ],
)
def test_folders_of_cameras_are_no_scenes(name: str, scene: str) -> None:
    assert scene_of(name) == scene


def test_folders_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    one = photographs(tmp_path / "one", *(f"left/{i}.png" for i in range(4)), *(f"right/{i}.png" for i in range(4)))
    with pytest.raises(ConfigError, match=r"all 8 images of 'folder:one' are of one folder.*holdout_by=index"):
        split(one, "folder:one", 0.1, "folder")
    with pytest.raises(ConfigError, match="does not tell in which folders"):
        split(Many(9), "many", 0.1, "folder")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"has 1 image\(s\)"):
        split(Many(1), "many", 0.1, "index")  # type: ignore[arg-type]


def test_the_smallest_folder_is_taken_where_all_are_larger_than_the_share(tmp_path: Path) -> None:
    names = [f"a/{i}.png" for i in range(12)] + [f"b/{i}.png" for i in range(8)]
    source = photographs(tmp_path, *names)
    found = split(source, "s", 0.1, "folder")
    assert {source.pairs[i].id[0] for i in found.held_out} == {"b"}


def test_a_subset_is_the_source_at_some_positions(tmp_path: Path) -> None:
    source = photographs(tmp_path, *(f"p{i}.png" for i in range(6)))
    part = subset(source, [4, 1])
    assert len(part) == 2 and [part[i].id for i in range(2)] == ["p4.png", "p1.png"]
    assert [pair.id for pair in part.pairs] == ["p4.png", "p1.png"]
    assert (part.name, part.depth_kind, part.has_instances) == ("folder", None, False)  # type: ignore[attr-defined]
    assert part.check() == source.check() and not hasattr(part, "batch")
    assert torch.equal(pickle.loads(pickle.dumps(part))[0].image, part[0].image), "worker processes get one"
    with pytest.raises(IndexError):
        part[2]


def test_a_subset_of_a_source_that_renders_renders() -> None:
    source = load_source("sim:blocks,count=9,seed=2,size=24x32")
    part = subset(source, [7, 3, 5])
    made, whole = part.batch([2, 0], (24, 32)), source.batch([5, 7], (24, 32))  # type: ignore[attr-defined]
    assert made.ids == whole.ids and torch.equal(made.image, whole.image) and torch.equal(made.depth, whole.depth)
    assert not hasattr(part, "pairs") and (part.seed, part.size) == (2, (24, 32))  # type: ignore[attr-defined]
    assert owner_of(part) is owner_of(source) is not None
