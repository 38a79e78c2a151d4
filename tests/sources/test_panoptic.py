"""Object ids of COCO's panoptic format and of ADE20K, as their sets are unpacked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kdcli.errors import ConfigError, DataError
from kdcli.sources import load_source
from kdcli.sources.checks import survey
from kdcli.testing import check_source

CATEGORIES = [{"id": 1, "name": "person", "isthing": 1}, {"id": 187, "name": "sky", "isthing": 0}]
SEGMENTS = {3226956: 187, 70000: 1, 8: 1, 260: 1}
"""Segment -> category; 70000 takes all three bytes."""


def picture(path: Path, ids: np.ndarray[Any, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = [ids % 256, ids // 256 % 256, ids // 65536]
    Image.fromarray(np.stack(channels, -1).astype(np.uint8)).save(path)


def segments() -> np.ndarray[Any, Any]:
    ids = np.zeros((12, 16), np.int64)
    ids[:4], ids[5:9, :6], ids[5:9, 8:], ids[10:] = 3226956, 70000, 8, 260
    return ids


@pytest.fixture
def coco(tmp_path: Path, photo: Any) -> Path:
    for i in range(2):
        photo(tmp_path / f"val2017/{i:012d}.jpg", seed=i)
        picture(tmp_path / f"annotations/panoptic_val2017/{i:012d}.png", segments())
    said = [{"id": key, "category_id": value, "iscrowd": int(key == 260)} for key, value in SEGMENTS.items()]
    document = {
        "images": [{"id": i, "file_name": f"{i:012d}.jpg", "height": 12, "width": 16} for i in range(2)],
        "annotations": [{"image_id": i, "file_name": f"{i:012d}.png", "segments_info": said} for i in range(2)],
        "categories": CATEGORIES,
    }
    (tmp_path / "annotations/panoptic_val2017.json").write_text(json.dumps(document))
    return tmp_path


def test_things_are_objects_and_stuff_is_not(coco: Path) -> None:
    source = load_source(f"folder:{coco}/val2017,coco={coco}/annotations/panoptic_val2017.json")
    check_source(source)
    ids, stored = source[1].instances, segments()
    assert ids is not None
    want = np.where(stored == 70000, 1, np.where(stored == 8, 2, 0))
    np.testing.assert_array_equal(ids.numpy(), want)
    report = survey(source)
    assert report.objects == {"mean": 2, "most": 2, "without": 0}
    said = [one.message for one in report.findings]
    assert all(any(words in one for one in said) for words in ("2 segments are of stuff", "2 segments are of a crowd"))


def test_pictures_elsewhere(coco: Path) -> None:
    (coco / "annotations/panoptic_val2017").rename(coco / "masks")
    spec = f"folder:{coco}/val2017,coco={coco}/annotations/panoptic_val2017.json"
    with pytest.raises(DataError, match=r"its pictures are not in .*instances=DIR"):
        load_source(spec)
    assert load_source(f"{spec},instances={coco}/masks")[0].instances is not None
    (coco / f"masks/{0:012d}.png").unlink()
    with pytest.raises(DataError, match=f"masks/{0:012d}.png"):
        load_source(f"{spec},instances={coco}/masks")[0]


def test_a_file_without_categories_or_of_another_form(coco: Path) -> None:
    path = coco / "annotations/panoptic_val2017.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "categories": []}))
    none = load_source(f"folder:{coco}/val2017,coco={path}")[0].instances
    assert none is not None and not none.any()
    path.write_text(json.dumps({key: document[key] for key in ("images", "annotations")}))
    with pytest.raises(DataError, match="does not say which categories are objects"):
        load_source(f"folder:{coco}/val2017,coco={path}")
    document["annotations"][0] = {"image_id": 7, "segments_info": [{}]}
    path.write_text(json.dumps(document))
    report = survey(load_source(f"folder:{coco}/val2017,coco={path}"))
    assert any("1 annotation is not of COCO's form" in one.message for one in report.findings)
    instances = {**document, "annotations": []}
    path.write_text(json.dumps(instances))
    with pytest.raises(ConfigError, match="both name the objects"):
        load_source(f"folder:{coco}/val2017,coco={path},instances={coco}/annotations")


def test_ade20k_of_the_challenge(tmp_path: Path, photo: Any) -> None:
    """Red is the category, green counts its objects, so that two objects may share either."""
    root = tmp_path / "ADEChallengeData2016"
    colours = np.zeros((12, 16, 3), np.uint8)
    colours[:4, :5, :2], colours[:4, 8:, :2], colours[6:, :, :2] = (13, 1), (13, 2), (20, 1)
    for i in (1, 2):
        photo(root / f"images/training/ADE_train_{i:08d}.jpg", seed=i)
        path = root / f"annotations_instance/training/ADE_train_{i:08d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(colours).save(path)
    source = load_source(f"folder:{root}/images/training,instances={root}/annotations_instance/training")
    ids = source[0].instances
    assert len(source) == 2 and ids is not None and source.check() == []
    places = [ids[:4, :5], ids[:4, 8:], ids[6:]]
    assert all(len(place.unique()) == 1 for place in places)
    assert len({int(place[0, 0]) for place in places} | {int(ids[5, 5])}) == 4 and int(ids[5, 5]) == 0


def test_ade20k_in_full(tmp_path: Path, photo: Any) -> None:
    """Category in red and green, objects in blue; maps of parts lie beside and are none of the image's."""
    colours = np.zeros((12, 16, 3), np.uint8)
    colours[:6, :8], colours[:6, 8:], colours[6:] = (30, 5, 0), (30, 5, 60), (10, 7, 120)
    photo(tmp_path / "kitchen/ADE_train_00000001.jpg", seed=1)
    Image.fromarray(colours).save(tmp_path / "kitchen/ADE_train_00000001_seg.png")
    Image.fromarray(255 - colours).save(tmp_path / "kitchen/ADE_train_00000001_parts_1.png")
    source = load_source(f"folder:{tmp_path}/kitchen/*.jpg,instances=.")
    ids = source[0].instances
    assert len(source) == 1 and ids is not None
    assert len({int(ids[0, 0]), int(ids[0, 9]), int(ids[9, 0])}) == 3 and len(ids.unique()) == 3
