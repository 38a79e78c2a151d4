"""What is written in each layout is read back by kdcli's own source of it, with the depth that went in."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from conversions import CAMERA, HEIGHT, WIDTH, readable, scene, truth, written
from PIL import Image

from kdcli.convert import LAYOUTS
from kdcli.training.batches.feed import Feed

STEP = {"shards": 1e-3, "folder": 1e-3, "ultralytics": 1e-3, "libreyolo": 1e-3, "tum": 2e-4, "marigold": 1e-3}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_depth_comes_back(layout: str, tmp_path: Path) -> None:
    data, out = scene(tmp_path / "in"), tmp_path / "out"
    report = written(data, out, layout, image="png")
    assert (report.images, report.made, report.kept, report.left_out) == (6, 6, 0, 0)
    source = readable(report.spec)
    if source is None:
        pytest.skip(f"this kdcli has no source that reads '{report.spec}'")
    assert len(source) == 6
    known = truth(data)
    for index in range(6):
        sample = source[index]
        assert sample.depth is not None and sample.valid is not None
        image, depth = min(known, key=lambda pair: float((pair[0] - sample.image).abs().max()))
        assert torch.equal(image, sample.image)  # PNG keeps every number
        assert torch.equal(sample.valid[0], depth > 0)
        error = (sample.depth[0] - depth).abs()
        bound = depth * 1e-4 if layout == "moge" else torch.full_like(depth, STEP[layout] / 2 + 1e-6)
        assert bool((error <= bound).all()), float(error.max())


@pytest.mark.parametrize("layout", ["folder", "ultralytics", "shards"])
def test_floats_come_back_as_they_are(layout: str, tmp_path: Path) -> None:
    data, out = scene(tmp_path / "in", units=None, far=91.7), tmp_path / "out"
    report = written(data, out, layout, image="png", depth="npy")
    source = readable(report.spec)
    if source is None:
        pytest.skip(f"this kdcli has no source that reads '{report.spec}'")
    known = truth(data)
    for index in range(len(source)):
        sample = source[index]
        assert sample.depth is not None
        depth = min(known, key=lambda pair: float((pair[0] - sample.image).abs().max()))[1]
        assert torch.equal(sample.depth[0], depth)


def test_object_ids_and_depth_of_a_simulated_world_come_back(tmp_path: Path) -> None:
    data, out = "sim:blocks,count=3,size=48x64", tmp_path / "out"
    report = written(data, out, "folder", image="png", size=(48, 64))
    assert report.spec == f"folder:{out}"
    was, source = readable(data), readable(report.spec)
    assert was is not None and source is not None and len(source) == 3
    for index in range(3):
        before, after = was[index], source[index]
        assert before.instances is not None and after.instances is not None and after.depth is not None
        assert before.instances.max() > 0 and torch.equal(before.instances, after.instances)
        assert before.depth is not None and before.valid is not None
        assert float((before.depth - after.depth).abs()[before.valid].max()) <= 0.0005001


def test_shards_hold_what_their_key_says(tmp_path: Path) -> None:
    data, out = scene(tmp_path / "in"), tmp_path / "out"
    report = written(data, out, "shards", shard_size=4)
    assert report.shards == 2 and report.spec == f"wds:{out}/train-{{000000..000001}}.tar"
    with tarfile.open(out / "train-000000.tar") as tar:
        names = tar.getnames()
        assert names[:3] == ["hall_2/0000.depth.png", "hall_2/0000.json", "hall_2/0000.rgb.jpg"]
        facts = json.loads(tar.extractfile("hall_2/0000.json").read())  # type: ignore[union-attr]
        depth = Image.open(io.BytesIO(tar.extractfile("hall_2/0000.depth.png").read()))  # type: ignore[union-attr]
    assert facts["id"] == "hall.2/rgb/0000.png" and facts["intrinsics"] == list(CAMERA)
    assert (facts["height"], facts["width"], facts["depth_scale"], facts["depth_kind"]) == (48, 64, 1000, "metric")
    assert depth.mode == "I;16" and float(depth.info["depth_units_per_metre"]) == 1000
    index = json.loads((out / "train.json").read_text())
    assert index["wids_version"] == 1 and [shard["nsamples"] for shard in index["shardlist"]] == [4, 2]
    for shard in index["shardlist"]:
        assert (out / shard["url"]).stat().st_size == shard["filesize"]


def test_a_part_to_measure_on_lies_beside_the_one_to_train_on(tmp_path: Path) -> None:
    data, val = scene(tmp_path / "in"), scene(tmp_path / "val", 1)
    for layout, files in (
        ("ultralytics", {"images/train", "images/val", "depth/train", "depth/val"}),
        ("libreyolo", {"images/train", "images/val", "depths/train", "depths/val"}),
        ("marigold", {"filename_list_train.txt", "filename_list_val.txt"}),
        ("moge", {".train.txt", ".val.txt", "train/kitchen/0000/depth.png", "val/kitchen/0000/depth.png"}),
        ("shards", {"train-000000.tar", "val-000000.tar", "train.json", "val.json"}),
    ):
        out = tmp_path / layout
        assert written(data, out, layout, val=val).images == 8
        assert all((out / file).exists() for file in files), layout
    assert "val: images/val\n" in (tmp_path / "ultralytics" / "data.yaml").read_text()
    lines = (tmp_path / "marigold" / "filename_list_val.txt").read_text().splitlines()
    assert lines[0] == "rgb/val/hall_2/0000.png depth/val/hall_2/0000.png"


def test_moge_folders_have_a_camera_as_shares(tmp_path: Path) -> None:
    out = tmp_path / "out"
    written(scene(tmp_path / "in"), out, "moge")
    folder = out / "kitchen" / "0001"
    shares = np.array(json.loads((folder / "meta.json").read_text())["intrinsics"])
    fx, fy, _, _ = CAMERA
    assert np.allclose(shares, [[fx / WIDTH, 0, 0.5], [0, fy / HEIGHT, 0.5], [0, 0, 1]])
    assert (out / ".index.txt").read_text().splitlines()[0] == "hall_2/0000"


def test_tum_lists_associate_each_image_with_its_depth(tmp_path: Path) -> None:
    out = tmp_path / "out"
    written(scene(tmp_path / "in"), out, "tum")
    lines = (out / "kitchen" / "associations.txt").read_text().splitlines()
    assert lines[1] == "0.033333 rgb/0.033333.png 0.033333 depth/0.033333.png" and len(lines) == 3
    rgb = [line for line in (out / "kitchen" / "rgb.txt").read_text().splitlines() if not line.startswith("#")]
    assert rgb[2] == "0.066667 rgb/0.066667.png"
    assert np.array(Image.open(out / "kitchen" / "depth" / "0.000000.png")).max() == 6.0 * 5000


def test_a_small_folder_keeps_its_camera(tmp_path: Path) -> None:
    out = tmp_path / "out"
    written(scene(tmp_path / "in"), out, "folder", size=(24, 32))
    source = readable(f"rgbd:{out}")
    assert source is not None and len(source) == 6
    sample = source[0]
    assert sample.image.shape == (3, 24, 32) and sample.intrinsics is not None
    assert torch.allclose(sample.intrinsics, torch.tensor([30.0, 30.5, 15.5, 11.5]))


def test_training_sees_the_same_batches(tmp_path: Path) -> None:
    data, out, size = scene(tmp_path / "in"), tmp_path / "out", (31, 44)
    report = written(data, out, "folder", size=size, image="png")
    fed = []
    for spec in (data, report.spec):
        source = readable(spec)
        assert source is not None
        feed = Feed(source, batch_size=3, size=size, seed=7, device=torch.device("cpu"))
        fed.append(list(feed.batches(0, 2)))
    for before, after in zip(*fed, strict=True):
        assert before.depth is not None and after.depth is not None
        assert before.valid is not None and after.valid is not None
        assert float((before.image - after.image).abs().max()) <= 0.5 / 255 + 1e-6
        assert torch.equal(before.depth, after.depth) and torch.equal(before.valid, after.valid)
