"""``folder:DIR,coco=FILE.json``: polygons, run lengths, crowds, overlaps."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdcli.errors import DataError
from kdcli.sources import load_source
from kdcli.sources.checks import survey
from kdcli.sources.masks import fill_polygon, fill_runs
from kdcli.testing import check_source

SQUARE = [2, 1, 8, 1, 8, 7, 2, 7]
"""Columns 2 to 7, rows 1 to 6."""


def annotation(image: int, segmentation: Any, **more: Any) -> dict[str, Any]:
    return {"id": 1, "image_id": image, "category_id": 1, "segmentation": segmentation, "iscrowd": 0, **more}


def runs(mask: np.ndarray[Any, Any]) -> list[int]:
    """Return the lengths of a mask by definition, pixel after pixel down the columns."""
    lengths, value = [0], 0
    for pixel in mask.T.ravel().tolist():
        if pixel != value:
            lengths, value = [*lengths, 0], pixel
        lengths[-1] += 1
    return lengths


@pytest.fixture
def write(tmp_path: Path, photo: Any) -> Any:
    """Write three photographs of 12 x 16 and a COCO file of the given annotations; returns the spec."""

    def made(*annotations: Any, **more: Any) -> str:
        for i in range(3):
            photo(tmp_path / "photos" / f"{i}.jpg", seed=i)
        images = [{"id": 10 + i, "file_name": f"{i}.jpg", "height": 12, "width": 16} for i in range(3)]
        document = {"images": images, "annotations": list(annotations), "categories": [], **more}
        (tmp_path / "a.json").write_text(json.dumps(document))
        return f"folder:{tmp_path}/photos,coco={tmp_path}/a.json"

    return made


def ids(spec: str, index: int = 0) -> np.ndarray[Any, Any]:
    found: np.ndarray[Any, Any] = load_source(spec)[index].instances.numpy()
    return found


def test_polygons_fill_the_pixels_whose_centres_are_inside() -> None:
    mask = fill_polygon(SQUARE, (12, 16))
    assert mask.sum() == 36 and mask[1:7, 2:8].all()
    assert np.array_equal(fill_polygon([x + 0.4 for x in SQUARE], (12, 16)), mask)
    assert np.array_equal(fill_polygon([x + 0.6 for x in SQUARE], (12, 16)), np.roll(mask, (1, 1), (0, 1)))
    assert fill_polygon([-5, -5, 30, -5, 30, 30, -5, 30], (12, 16)).all()
    assert not fill_polygon([20, 2, 30, 2, 30, 8], (12, 16)).any()
    assert not fill_polygon([2.1, 1.1, 2.3, 1.1, 2.3, 1.3], (12, 16)).any()


def test_halves_of_a_square_tile_it() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        (a, b), x = rng.uniform(0, 40, 2), rng.uniform(5, 35)
        left = fill_polygon([0, 0, x, 0, x, a, b * 0.2, 40, 0, 40], (40, 40))
        right = fill_polygon([x, 0, 40, 0, 40, 40, b * 0.2, 40, x, a], (40, 40))
        assert not (left & right).any() and (left | right).all()


def test_a_polygon_of_many_corners_has_its_area() -> None:
    angles = np.linspace(0, 2 * np.pi, 300, endpoint=False)
    corners = np.stack([80 + 60 * np.cos(angles), 50 + 40 * np.sin(angles)], 1).ravel()
    assert fill_polygon(corners, (100, 160)).sum() == pytest.approx(np.pi * 60 * 40, rel=2e-3)


def test_a_polygon_that_crosses_itself_has_a_hole() -> None:
    star = [8, 0, 8, 8, 0, 8, 0, 0, 8, 0, 6, 2, 2, 2, 2, 6, 6, 6, 6, 2]
    mask = fill_polygon(star, (10, 10))
    assert mask[0, 0] and mask[7, 7] and not mask[3:5, 3:5].any()


def test_run_lengths_plain_and_compressed() -> None:
    mask = np.zeros((6, 8), np.uint8)
    mask[1:5, 2:6], mask[2, 3], mask[0, 7] = 1, 0, 1
    # The texts were written by pycocotools 2.0.11.
    assert np.array_equal(fill_runs("=42MO112005MN", (6, 8)), mask)
    assert np.array_equal(fill_runs(runs(mask), (6, 8)), mask)
    large = np.zeros((480, 640), bool)
    large[100:300, 50:52] = True
    assert np.array_equal(fill_runs("Tag0X6h80l`c8", (480, 640)), large)


@pytest.mark.parametrize("counts", [[5], [48, 1], [50, -2], "=42MO112005M", "=42MO11200\x205MN", "=42MO112005Mn", ""])
def test_run_lengths_that_are_none(counts: Any) -> None:
    with pytest.raises(ValueError, match="run lengths"):
        fill_runs(counts, (6, 8))


def test_objects_of_all_forms(write: Any) -> None:
    mask = np.zeros((12, 16), np.uint8)
    mask[8:, 12:] = 1
    spec = write(
        annotation(10, [SQUARE]), annotation(10, {"counts": runs(mask), "size": [12, 16]}),
        annotation(11, [SQUARE, [10, 8, 14, 8, 14, 11, 10, 11]]),
        annotation(11, {"counts": [0, 2, 190], "size": [12, 16]}),
    )
    first, second = ids(spec, 0), ids(spec, 1)
    assert np.unique(first).tolist() == [0, 1, 2]
    assert (first[1:7, 2:8] == 1).all() and (first[8:, 12:] == 2).all() and (first > 0).sum() == 52
    assert (second == 1).sum() == 48 and second[9, 11] == 1 and (second == 2).sum() == 2  # one object in two parts
    assert not ids(spec, 2).any()
    assert survey(load_source(spec)).findings == []
    check_source(spec)


def test_smaller_objects_lie_over_larger_ones(write: Any) -> None:
    small = [4, 3, 6, 3, 6, 5, 4, 5]
    for shapes in ((small, SQUARE), (SQUARE, small)):
        found = ids(write(*(annotation(10, [shape]) for shape in shapes)))
        assert (found[3:5, 4:6] == 2).all() and (found == 1).sum() == 32


def test_what_is_left_out_is_said(write: Any) -> None:
    spec = write(
        annotation(10, [SQUARE]), annotation(10, {"counts": [0, 192], "size": [12, 16]}, iscrowd=1),
        annotation(11, [], bbox=[0, 0, 3, 3]), annotation(77, [SQUARE]), annotation(11, [[1, 2, 3]]), "nonsense",
        annotation(11, [[1, 2, "x", 4, 5, 6]]), annotation(11, [[1, 2, float("nan"), 4, 5, 6]]),
        images=[{"id": 10 + i, "file_name": f"{i}.jpg", "height": 12, "width": 16} for i in range(2)],
    )
    assert (ids(spec) > 0).sum() == 36 and not ids(spec, 1).any() and not ids(spec, 2).any()
    findings = survey(load_source(spec)).findings
    assert [(f.level, f.message.split("': ")[1].split(",")[0].split(" and")[0]) for f in findings] == [
        ("warning", "5 annotations are not of COCO's form"), ("info", "1 annotation has no mask (segmentation)"),
        ("info", "1 annotation is of a crowd"), ("warning", "1 image is not listed"),
    ]


def test_a_mask_that_does_not_fit_is_an_error(write: Any) -> None:
    spec = write(annotation(10, {"counts": [0, 9, 1], "size": [12, 16]}))
    with pytest.raises(DataError, match=r"a\.json' has a broken mask for '0\.jpg'"):
        load_source(spec)[0]
    assert load_source(spec).check()[0].level == "error"
    spec = write(annotation(10, {"counts": [0, 9], "size": [3, 3]}))
    with pytest.raises(DataError, match="run lengths for 3 x 3, image 12 x 16"):
        load_source(spec)[0]


def test_images_that_were_made_larger_or_cropped(write: Any, tmp_path: Path, photo: Any) -> None:
    spec = write(annotation(10, [SQUARE]), annotation(11, [SQUARE]))
    photo(tmp_path / "photos" / "0.jpg", 24, 32)
    photo(tmp_path / "photos" / "1.jpg", 12, 15)
    assert ids(spec).shape == (24, 32) and (ids(spec) > 0).sum() == 4 * 36
    with pytest.raises(DataError, match=r"1\.jpg' is 15x12 but its object ids are 16x12"):
        load_source(spec)[1]


def test_names_with_folders(write: Any, tmp_path: Path) -> None:
    images = [
        {"id": 10, "file_name": "train/0.jpg", "height": 12, "width": 16},
        {"id": 11, "file_name": "a/1.jpg", "height": 12, "width": 16},
        {"id": 12, "file_name": "b/1.jpg", "height": 12, "width": 16},
    ]
    spec = write(annotation(10, [SQUARE]), annotation(11, [SQUARE]), images=images)
    assert ids(spec).any() and not ids(spec, 1).any()  # 1.jpg is two of the file's images: none is meant for certain
    (tmp_path / "photos").rename(tmp_path / "train")
    assert ids(f"folder:{tmp_path},recursive=true,coco=a.json").any()


def test_only_what_is_used_is_kept(write: Any) -> None:
    many = write(*[annotation(11 + i % 2, [SQUARE]) for i in range(500)])
    source = load_source(f"{many},stop=1")
    assert len(pickle.dumps(source)) < 4000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "line 1 is no JSON"), ("[1]", "has another form"), ("{}", "lacks 'images'"), ('{"images": []}', "lacks"),
        ('{"images": [], "annotations": 3}', "are no list"),
        ('{"images": [{"id": 1}], "annotations": []}', "lacks 'file_name'"),
        ('{"images": [], "annotations": []}', r"none of the images is named in .*'0\.jpg'"), ("\x80{}", "not text"),
        ("version https://git-lfs.github.com/spec/v1\n", "git lfs pull"), ("", "empty"),
    ],
)
def test_files_that_are_none(write: Any, tmp_path: Path, text: str, said: str) -> None:
    spec = write()
    (tmp_path / "a.json").write_bytes(text.encode("latin1"))
    with pytest.raises(DataError, match=said):
        load_source(spec)
    with pytest.raises(DataError, match=r"coco file 'b\.json' exists neither"):
        load_source(f"folder:{tmp_path}/photos,coco=b.json")
