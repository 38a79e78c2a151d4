"""Pictures: copied where nothing changes, and never worse than asked for."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trees
from conversions import content, scene, written
from PIL import Image

from kdcli.convert import Asked
from kdcli.convert.parts import Part
from kdcli.errors import ConfigError
from kdcli.images import picture_bytes, read_image
from kdcli.sources.folder import FolderSource
from kdcli.types import Sample


def test_jpeg_of_the_same_size_is_copied(tmp_path: Path) -> None:
    data = scene(tmp_path / "in", 1, endings="jpg")
    written(data, tmp_path / "out", "folder")
    was = content(tmp_path / "in")["kitchen/rgb/0000.jpg"]
    assert content(tmp_path / "out")["images/kitchen/0000.jpg"] == was
    written(data, tmp_path / "small", "folder", size=(24, 32))
    written(data, tmp_path / "asked", "folder", quality=40)
    assert Image.open(tmp_path / "small" / "images" / "kitchen" / "0000.jpg").size == (32, 24)
    asked = tmp_path / "asked" / "images" / "kitchen" / "0000.jpg"
    assert asked.read_bytes() == picture_bytes(read_image(tmp_path / "in" / "kitchen" / "rgb" / "0000.jpg"), "jpg", 40)


def test_jpeg_that_lies_on_its_side_is_written_upright(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    pixels = np.zeros((24, 40, 3), np.uint8)
    pixels[:, 20:] = 255
    tags = Image.Exif()
    tags[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "in" / "a.jpg", exif=tags)
    written(f"folder:{tmp_path / 'in'}", tmp_path / "out", "folder")
    made = Image.open(tmp_path / "out" / "images" / "a.jpg")
    assert made.size == (24, 40) and 0x0112 not in made.getexif()
    assert np.asarray(made)[:18].max() < 40 and np.asarray(made)[22:].min() > 215


def test_a_source_that_changes_its_images_is_not_copied(tmp_path: Path) -> None:
    class Mirrored(FolderSource):
        def __getitem__(self, index: int, /) -> Sample:
            sample = super().__getitem__(index)
            return replace(sample, image=sample.image.flip(-1))

    scene(tmp_path / "in", 1, endings="jpg")
    asked = Asked(data="", layout="folder")
    for kind, copied in ((FolderSource, True), (Mirrored, False)):
        source = kind(location=str(tmp_path / "in" / "kitchen" / "rgb"))
        part = Part(split="train", spec="", source=source, count=1, names=["a"])
        assert (part.copied(0, asked) is not None) == copied


def test_jpeg_keeps_the_colour_of_every_pixel() -> None:
    red = torch.zeros(3, 16, 16)
    red[0, :, ::2], red[2, :, 1::2] = 1, 1
    assert len(picture_bytes(red, "png")) > 0
    back = np.asarray(Image.open(io.BytesIO(picture_bytes(red, "jpg", 100)))).astype(int)
    assert np.abs(back - (red.permute(1, 2, 0).numpy() * 255)).max() < 12


def test_photographs_without_depth_go_where_depth_is_not_needed(tmp_path: Path) -> None:
    data = trees.photos(tmp_path / "in", 3)
    report = written(data, tmp_path / "out", "folder")
    assert report.spec == f"folder:{tmp_path / 'out'}/images" and report.scale is None and report.far is None
    assert written(data, tmp_path / "shards").shards == 1
    with pytest.raises(ConfigError, match="has no depth, which the layout tum is for"):
        written(data, tmp_path / "tum", "tum")


def test_images_without_depth_among_others_are_left_out_and_counted(tmp_path: Path) -> None:
    data = trees.partly(tmp_path / "in", 5, range(1, 4))
    report = written(data, tmp_path / "out", "ultralytics")
    assert (report.images, report.left_out) == (3, 2)
    assert len(list((tmp_path / "out" / "images").rglob("*.jpg"))) == 3
    assert written(data, tmp_path / "all", "folder").images == 5


def test_a_source_without_end_needs_a_limit(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no end; give its number of images"):
        written("sim:blocks", tmp_path / "out", "folder", size=(24, 32))
    assert written("sim:blocks", tmp_path / "out", "folder", size=(24, 32), limit=2).images == 2


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"layout": "yolo"}, "there is no layout 'yolo'"),
        ({"layout": "tum", "depth": "npy"}, "--depth npy does not go with --to tum, which has png"),
        ({"layout": "folder", "val": "sim:rooms"}, "--val does not go with --to folder"),
        ({"layout": "moge", "scale": 1000.0}, "not of logarithms"),
        ({"layout": "shards", "scale": 1000.0, "depth": "npy"}, "not of --depth npy"),
        ({"layout": "shards", "scale": 0.0}, "--scale 0 is no number"),
        ({"layout": "shards", "max_depth": -1.0}, "--max-depth -1 must lie"),
        ({"layout": "tum", "quality": 90}, "--quality 90 is of JPEG"),
    ],
)
def test_what_does_not_go_together_is_refused(wishes: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Asked(data="sim:rooms", **wishes)  # type: ignore[arg-type]


def test_libreyolo_is_not_led_to_depth_that_is_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="wherever a part of a path begins with 'images'"):
        written(scene(tmp_path / "in", 1), tmp_path / "images-2026" / "out", "libreyolo")
