"""``scenenet:`` on a small made-up tree in the true layout."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from kdcli.errors import DataError
from kdcli.sources.checks import survey
from kdcli.sources.scenenet import SceneNetSource
from kdcli.sources.scenenet_proto import InstanceType, read_types
from kdcli.testing import check_source
from kdcli.types import DepthKind

BACKGROUND, LAYOUT, LIGHT, RANDOM = 1, 2, 3, 4
INSTANCES = {0: BACKGROUND, 1: LAYOUT, 2: LIGHT, 3: RANDOM, 700: RANDOM}
COLUMNS = (0, 1, 2, 3, 700)
"""Ids of the made-up instance maps, a fifth of the width each."""


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def field(number: int, value: int | bytes | str) -> bytes:
    """Return one field of a message on the wire; written by hand, so that the reader is not tested by itself."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    content = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(content)) + content


def protobuf(path: Path, trajectories: dict[str, dict[int, int]]) -> Path:
    """Write what the published files hold, also the parts that kdcli does not read: layout, views, object poses."""
    whole = b""
    for name, instances in trajectories.items():
        message = field(1, field(1, 3) + field(2, "kitchen/kitchen6_layout.obj"))
        for number, kind in instances.items():
            entry = field(1, number) + field(2, "04379243") + field(3, "table") + field(4, kind)
            message += field(2, entry + (field(6, field(1, "04379243/68247c73")) if kind == RANDOM else b""))
        view = field(1, 25) + field(2, field(1, b"\x0d\x00\x00\x80\x3f"))
        whole += field(1, message + field(3, view) * 3 + field(4, name))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(whole)
    return path


@pytest.fixture
def root(tmp_path: Path, photo: Any) -> Path:
    """Two trajectories of three frames, with the protobuf beside."""
    ids = np.repeat(np.array(COLUMNS, np.uint16), 64)[None].repeat(240, 0)
    for name in ("0/5", "0/12"):
        folder = tmp_path / "data" / "val" / name
        for frame in (0, 25, 100):
            photo(folder / "photo" / f"{frame}.jpg", 240, 320, seed=frame + len(name))
            for part, array in (("depth", np.full((240, 320), 3000, np.uint16)), ("instance", ids)):
                (folder / part).mkdir(exist_ok=True)
                Image.fromarray(array).save(folder / part / f"{frame}.png")
    protobuf(tmp_path / "scenenet_rgbd_val.pb", {"0/5": INSTANCES, "0/12": {0: BACKGROUND, 3: LAYOUT, 1: RANDOM}})
    return tmp_path / "data"


def said(source: SceneNetSource) -> list[str]:
    return [f"{finding.level}: {finding.message}" for finding in survey(source).findings]


def test_frames_in_order_with_objects_depth_and_camera(root: Path) -> None:
    source = SceneNetSource(location=str(root))
    assert source.name == "scenenet" and source.depth_kind is DepthKind.METRIC
    assert [source[i].id for i in range(len(source))] == [f"0/{t}/{n}" for t in (5, 12) for n in (0, 25, 100)]
    sample = source[1]
    assert sample.image.shape == (3, 240, 320)
    assert sample.instances is not None and sample.instances.shape == (240, 320)
    assert sample.instances.unique().tolist() == [0, 3, 700] and (sample.instances == 700).sum() == 240 * 64
    assert source[4].instances.unique().tolist() == [0, 1]  # another trajectory, other types
    assert sample.intrinsics.tolist() == pytest.approx([277.128, 289.706, 159.5, 119.5], abs=1e-3)
    assert said(source) == []


def test_depth_is_along_the_axis(root: Path) -> None:
    depth = SceneNetSource(location=str(root))[0].depth[0]
    fx, fy, cx, cy = SceneNetSource(location=str(root))[0].intrinsics.tolist()
    for v, u in ((0, 0), (119, 160), (239, 10)):
        length = math.hypot((u - cx) / fx, (v - cy) / fy, 1)
        assert depth[v, u].item() == pytest.approx(3.0 / length, rel=1e-6)
    # At the edges of the field of view: half of 60 degrees across, and of 45 down.
    assert depth[120, 319].item() == pytest.approx(3 * math.cos(math.radians(30)), rel=2e-3)
    assert depth[0, 160].item() == pytest.approx(3 * math.cos(math.radians(22.5)), rel=2e-3)


def test_no_depth_where_rays_met_nothing(root: Path) -> None:
    path = root / "val/0/5/depth/0.png"
    array = np.array(Image.open(path))
    array[0] = 0
    Image.fromarray(array).save(path)
    valid = SceneNetSource(location=str(root))[0].valid[0]
    assert not valid[0].any() and valid[1:].all()


@pytest.mark.parametrize(("types", "ids"), [("random", [0, 3, 700]), ("layout", [0, 1]), ("all", [0, 1, 3, 700])])
def test_types_that_count(root: Path, types: Any, ids: list[int]) -> None:
    assert SceneNetSource(location=str(root), types=types)[0].instances.unique().tolist() == ids


def test_selection(root: Path) -> None:
    def chosen(**options: Any) -> list[str]:
        source = SceneNetSource(location=str(root), **options)
        return [pair.id for pair in source.pairs]

    assert chosen(every=2) == ["0/5/0", "0/5/100", "0/12/25"]
    assert chosen(start=1, stop=4, count=2) == ["0/5/25", "0/5/100"]
    assert chosen(start=-1) == ["0/12/100"]
    assert chosen(count=3, seed=1) == chosen(count=3, seed=1) != chosen(count=3, seed=2)


def test_without_a_protobuf_every_id_is_an_object(root: Path) -> None:
    (root.parent / "scenenet_rgbd_val.pb").unlink()
    source = SceneNetSource(location=str(root))
    assert source[0].instances.unique().tolist() == [0, 1, 2, 3, 700]
    (only,) = said(source)
    assert only.startswith("warning: no scenenet_rgbd_val*.pb in or beside") and "protobuf=FILE" in only


@pytest.mark.parametrize("place", ["data", "data/val", "data/protobufs", "train_protobufs"])
def test_where_the_protobuf_is_found(root: Path, place: str) -> None:
    path = root.parent / place / "scenenet_rgbd_val.pb"
    path.parent.mkdir(exist_ok=True)
    shutil.move(root.parent / "scenenet_rgbd_val.pb", path)
    assert SceneNetSource(location=str(root)).protobufs == [path]


def test_the_protobuf_of_another_copy_beside_is_not_taken(root: Path) -> None:
    shutil.move(root.parent / "scenenet_rgbd_val.pb", root / "scenenet_rgbd_val.pb")
    shutil.copytree(root / "val", root.parent / "other" / "val")
    assert SceneNetSource(location=str(root.parent / "other")).protobufs == []


def test_a_named_protobuf_and_shards_of_the_training_set(root: Path) -> None:
    shutil.move(root / "val", root / "train")
    shards = {
        number: protobuf(root / "train_protobufs" / f"scenenet_rgbd_train_{number}.pb", {name: INSTANCES})
        for number, name in ((10, "0/12"), (9, "0/5"))
    }
    source = SceneNetSource(location=str(root), split="train")
    assert source.protobufs == [shards[9], shards[10]] and said(source) == []
    one = SceneNetSource(location=str(root), split="train", protobuf="train_protobufs/scenenet_rgbd_train_9.pb")
    assert one.protobufs == [shards[9]]
    (only,) = said(one)
    assert only.startswith("warning: 1 trajectories are not in") and "train/0/12'" in only
    folder = SceneNetSource(location=str(root), split="train", protobuf=str(root / "train_protobufs"))
    assert folder.protobufs == [shards[9], shards[10]]
    with pytest.raises(DataError, match="protobuf 'nope' exists neither"):
        SceneNetSource(location=str(root), split="train", protobuf="nope")
    with pytest.raises(DataError, match="has no folder val; write split=train"):
        SceneNetSource(location=str(root))


def test_the_split_itself_may_be_named(root: Path) -> None:
    protobuf(root / "scenenet_rgbd_val.pb", {"0/5": INSTANCES, "0/12": INSTANCES})
    assert SceneNetSource(location=str(root / "val"))[0].instances.unique().tolist() == [0, 3, 700]


def test_protobufs_that_are_none(root: Path) -> None:
    path = root.parent / "scenenet_rgbd_val.pb"
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])
    with pytest.raises(DataError, match=r"scenenet_rgbd_val\.pb' does not parse"):
        SceneNetSource(location=str(root))
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(DataError, match="git lfs pull"):
        SceneNetSource(location=str(root))
    path.write_bytes(field(9, "something else"))
    with pytest.raises(DataError, match="holds no trajectory"):
        SceneNetSource(location=str(root))


def test_types_are_read_beside_all_else_that_the_file_holds(tmp_path: Path) -> None:
    path = protobuf(tmp_path / "a.pb", {"0/5": INSTANCES, "3/44": {300: LIGHT}})
    assert read_types(path) == {
        "0/5": {number: InstanceType(kind) for number, kind in INSTANCES.items()},
        "3/44": {300: InstanceType.LIGHT_OBJECT},
    }


def test_what_is_missing_or_broken_is_named(root: Path) -> None:
    shutil.rmtree(root / "val/0/12/photo")
    (root / "val/0/5/instance/25.png").unlink()
    (root / "val/0/5/depth/0.png").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    broken = root / "val/0/5/instance/100.png"
    broken.write_bytes(broken.read_bytes()[:90])
    protobuf(root.parent / "scenenet_rgbd_val.pb", dict.fromkeys(("0/5", "0/12", "0/77"), INSTANCES))
    found = said(SceneNetSource(location=str(root)))
    for level, text in (
        ("warning", "1 of 3 render paths in"), ("error", "val/0/12' has no folder photo"),
        ("warning", "val/0/5' has files in unequal number: 3 photo, 3 depth, 2 instance"),
        ("error", "instance/25.png' does not exist"), ("error", "depth/0.png' is a Git LFS pointer"),
        ("error", "instance/100.png' is truncated"),
    ):
        assert any(one.startswith(level) and text in one for one in found), (level, text, found)
    assert "val/0/77'" in next(one for one in found if "render paths" in one)
    assert len(found) == 6


def test_the_protobuf_of_another_part(root: Path) -> None:
    protobuf(root.parent / "scenenet_rgbd_val.pb", {"9/1": INSTANCES})
    assert [one.split(":")[0] for one in said(SceneNetSource(location=str(root)))] == ["error", "warning"]


def test_many_faults_of_one_sort_are_counted(root: Path) -> None:
    for i in range(14):
        (root / "val" / "1" / str(i) / "depth").mkdir(parents=True)
    found = said(SceneNetSource(location=str(root)))
    assert sum("has no folder photo" in one for one in found) == 10 and any("4 more trajectories" in o for o in found)


def test_roots_without_frames(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        SceneNetSource(location=str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="give the folder that holds train and val"):
        SceneNetSource(location=str(tmp_path))
    (tmp_path / "val" / "0" / "5" / "photo").mkdir(parents=True)
    with pytest.raises(DataError, match="has no frames such as"):
        SceneNetSource(location=str(tmp_path))


def test_photos_alone(root: Path) -> None:
    for part in ("instance", "depth"):
        for name in ("0/5", "0/12"):
            shutil.rmtree(root / "val" / name / part)
    source = SceneNetSource(location=str(root))
    assert source.depth_kind is None and source[0].instances is None and source[0].depth is None


@pytest.mark.parametrize("options", [{}, {"types": "all", "every": 2}, {"types": "layout"}])
def test_the_kit(root: Path, options: dict[str, Any]) -> None:
    check_source(SceneNetSource, options={"location": str(root), **options})


def test_a_large_set_is_looked_over_by_sample(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "val/0/5/depth/25.png").unlink()
    source = SceneNetSource(location=str(root))
    assert survey(source).errors == 1
    monkeypatch.setattr("kdcli.sources.checks.surveying._LOOKED", 3)
    assert survey(source, limit=1).errors == 0 and survey(source, limit=None).errors == 1


def test_masks_of_objects_survive_a_batch(root: Path) -> None:
    from kdcli.training.batches.feed import Feed

    feed = Feed(SceneNetSource(location=str(root)), batch_size=4, size=(57, 76), seed=0, device=torch.device("cpu"))
    batch = next(feed.batches(0, 1))
    assert batch.instances is not None and batch.instances.shape == (4, 57, 76)
    assert set(batch.instances.unique().tolist()) <= {0, 1, 3, 700}
