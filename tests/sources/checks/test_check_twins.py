"""Images that two sources share, also where they were stored anew; others are not taken for the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from check_scenes import scene, write
from PIL import Image

from kdcli.sources import load_source
from kdcli.sources.checks.prints import prints
from kdcli.sources.checks.twins import LISTED, shared


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    write(tmp_path / "train", 30)
    write(tmp_path / "test", 6, first=100)
    return tmp_path


def test_a_clean_split(photos: Path) -> None:
    found = shared(load_source(f"folder:{photos}/test/rgb"), load_source(f"folder:{photos}/train/rgb"), "train")
    assert found.compared == (6, 30) and found.twins == () and found.findings() == []
    assert found.document()["pairs"] == []


def test_copies_and_pictures_stored_anew(photos: Path) -> None:
    test = photos / "test/rgb"
    shutil.copy(photos / "train/rgb/3.png", test / "copy.png")
    with Image.open(photos / "train/rgb/4.png") as image:
        image.save(test / "jpeg.jpg", quality=70)
        image.resize((90, 68)).save(test / "small.png")
        Image.fromarray((np.array(image) * 0.8).astype(np.uint8)).save(test / "dark.png")
    found = shared(load_source(f"folder:{test}"), load_source(f"folder:{photos}/train/rgb"), "folder:train")
    pairs = {Path(twin.image).name: (Path(twin.other).name, twin.exact) for twin in found.twins}
    assert pairs == {
        "copy.png": ("3.png", True), "jpeg.jpg": ("4.png", False), "small.png": ("4.png", False),
        "dark.png": ("4.png", False),
    }
    document = found.document()
    assert (document["exact"], document["near"], document["compared"]) == (1, 3, [10, 30])
    exact, near = found.findings()
    assert f"{test}/copy.png" in exact.message and "1 of 10 images are also in 'folder:train'" in exact.message
    assert near.level == "warning" and "3 of 10 images look nearly" in near.message


def test_sources_without_files() -> None:
    one, other = load_source("sim:blocks,count=4"), load_source("sim:blocks,count=4,seed=1")
    found = shared(one, one, "same")
    assert [(twin.image, twin.exact) for twin in found.twins] == [(one[i].id, True) for i in range(4)]
    assert shared(one, other, "other").twins == ()


def test_the_nearest_is_named_and_broken_files_are_passed_over(photos: Path) -> None:
    train, test = photos / "train/rgb", photos / "test/rgb"
    picture, _ = scene(200)
    Image.fromarray(picture).save(test / "a.png")
    changed = picture.copy()
    changed[:14, :20] = 0
    Image.fromarray(changed).save(train / "changed.png")
    Image.fromarray(picture).save(train / "z-same.png", compress_level=1)
    (train / "broken.png").write_bytes(b"\x89PNG")
    found = shared(load_source(f"folder:{test}"), load_source(f"folder:{train}"), "train")
    (twin,) = found.twins
    assert Path(twin.other).name == "z-same.png" and twin.bits == 0 and found.compared[1] == 32
    assert len(found.document()["pairs"]) <= LISTED


def test_plain_pictures_are_alike_only_among_themselves(tmp_path: Path) -> None:
    for name, grey in (("a", 0), ("b", 90)):
        (tmp_path / name).mkdir()
        Image.new("RGB", (40, 30), (grey, grey, grey)).save(tmp_path / name / "plain.png")
    write(tmp_path / "c", 3)
    plain = load_source(f"folder:{tmp_path}/a")
    assert len(shared(plain, load_source(f"folder:{tmp_path}/b"), "b").twins) == 1
    assert shared(plain, load_source(f"folder:{tmp_path}/c/rgb"), "c").twins == ()
    assert int(prints(plain, [0]).hashes[0]) == 0
