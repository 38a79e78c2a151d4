from __future__ import annotations

import json
from dataclasses import asdict, replace
from itertools import combinations

import numpy as np
import pytest
import torch
from PIL import Image

from kdcli.errors import ConfigError, DataError
from kdcli.evals.batches import prepare
from kdcli.evals.crops import Frame
from kdcli.evals.protocol import PROTOCOLS, find
from kdcli.types import Batch


def test_every_protocol_is_found_by_its_name_and_hashed_apart() -> None:
    assert {"plain", "nyu-eigen", "nyu-hu-crop", "kitti-garg", "kitti-eigen"} <= set(PROTOCOLS)
    content = {name: replace(find(name), name="", measures="", used_by="", extras=()) for name in PROTOCOLS}
    for name, other in combinations(PROTOCOLS, 2):
        assert (find(name).hash == find(other).hash) == (content[name] == content[other]), (name, other)


def test_the_hash_covers_the_content_and_not_the_name() -> None:
    plain = find("plain")
    assert replace(plain, name="other").hash == plain.hash
    changes = {"max_depth": 10.0, "clamp": False, "flip": True, "aggregation": "pixel", "resize": "nearest"}
    for field, value in changes.items():
        assert replace(plain, **{field: value}).hash != plain.hash, field
    assert replace(find("kitti-garg"), frame=None).hash != find("kitti-garg").hash
    json.dumps(asdict(find("kitti-garg-full")), allow_nan=False)


def test_a_wrong_name_gets_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'nyu-eigen'"):
        find("nyu-eigne")
    with pytest.raises(ConfigError, match="Did you mean 'median'"):
        find("plain+medain")


def test_modifiers_change_name_and_hash_together() -> None:
    plain = find("plain")
    assert find("plain+median").name == "plain+median" == plain.modified("median").name
    assert find("plain+median").hash != plain.hash
    assert plain.modified("scale-shift").modified("median") == find("plain+median")
    assert find("plain+median").modified("none") == plain
    assert plain.modified("none") is plain
    assert find("nyu-eigen+flip+pixel").aggregation == "pixel"


def test_a_name_may_say_where_depth_begins_and_ends() -> None:
    plain, rooms = find("plain"), find("plain+min0.1+max10")
    assert (rooms.min_depth, rooms.max_depth, rooms.name) == (0.1, 10.0, "plain+min0.1+max10")
    assert rooms.hash == replace(plain, min_depth=0.1, max_depth=10.0).hash != plain.hash
    assert find("plain+max80") == plain and find("plain+max10+max20").name == "plain+max20"
    assert find("plain+max10").modified("median").name == "plain+max10+median"
    for name, words in (("max", "maxMETRES"), ("max1e3", "unknown"), ("min90", "which is none")):
        with pytest.raises(ConfigError, match=words):
            find(f"plain+{name}")


def batch(height: int, width: int) -> Batch:
    depth = torch.full((1, 1, height, width), 5.0)
    return Batch(ids=("a",), image=torch.rand(1, 3, height, width), depth=depth, valid=torch.ones_like(depth) > 0)


@pytest.mark.parametrize(
    ("name", "size", "seen", "top", "bottom", "left", "right"),
    [("plain", (30, 40), (30, 40), 0, 30, 0, 40), ("nyu-eigen", (480, 640), (480, 640), 45, 471, 41, 601),
     ("nyu-hu-crop", (480, 640), (228, 304), 0, 228, 0, 304),
     ("kitti-garg", (375, 1242), (352, 1216), 143, 349, 43, 1172),
     ("kitti-garg-full", (375, 1242), (352, 1216), 153, 371, 44, 1197),
     ("kitti-eigen", (370, 1226), (352, 1216), 117, 321, 43, 1172)],
)  # fmt: skip
def test_what_a_protocol_shows_and_counts(
    name: str, size: tuple[int, int], seen: tuple[int, int], top: int, bottom: int, left: int, right: int
) -> None:
    prepared = prepare(batch(*size), find(name), None)
    assert prepared.batch.image.shape[-2:] == seen
    rows, columns = torch.nonzero(prepared.valid[0, 0]).unbind(1)
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (top, bottom, left, right)
    assert int(prepared.valid.sum()) == (bottom - top) * (right - left)


def test_range_is_open_and_broken_depth_never_counts() -> None:
    depth = torch.tensor([0.0, 1e-3, 0.5, 10.0, 9.9, float("nan"), float("inf"), -1.0]).view(1, 1, 1, 8)
    given = Batch(ids=("a",), image=torch.zeros(1, 3, 1, 8), depth=depth, valid=torch.ones_like(depth) > 0)
    counted = prepare(given, replace(find("plain"), max_depth=10.0), None).valid.flatten()
    assert counted.tolist() == [False, False, True, False, True, False, False, False]
    uncapped = prepare(given, replace(find("plain"), max_depth=None), None).valid.flatten()
    assert uncapped.tolist() == [False, False, True, True, True, False, False, False]


def test_kitti_cut_is_at_the_bottom_and_centred() -> None:
    given = batch(375, 1242)
    assert torch.equal(prepare(given, find("kitti-garg"), None).batch.image, given.image[..., 23:, 13:1229])


def test_hu_frame_takes_the_pixels_that_pillow_takes() -> None:
    depth = torch.rand(1, 1, 480, 640)
    frame = Frame(height=228, width=304, short_side=240)
    _, shrunk, _ = frame.resize(torch.zeros(1, 3, 480, 640), depth, depth > 0)
    pillow = Image.fromarray(depth[0, 0].numpy()).resize((320, 240), Image.Resampling.NEAREST)
    assert np.array_equal(shrunk[0, 0].numpy(), np.array(pillow))
    assert torch.equal(frame.cut(shrunk), shrunk[..., 6:234, 8:312])


def test_size_is_what_the_model_sees_and_leaves_the_ground_truth() -> None:
    prepared = prepare(batch(480, 640), find("nyu-eigen"), (96, 128))
    assert prepared.batch.image.shape[-2:] == (96, 128)
    assert prepared.depth.shape[-2:] == (480, 640)


def test_a_protocol_for_another_size_is_refused() -> None:
    with pytest.raises(DataError, match=r"480x640.*240x320.*plain"):
        prepare(batch(240, 320), find("nyu-eigen"), None)
    with pytest.raises(DataError, match=r"352x1216.*100x100"):
        prepare(batch(100, 100), find("kitti-garg"), None)
