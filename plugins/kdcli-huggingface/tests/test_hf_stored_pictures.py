"""What stored pictures say of themselves: how they were turned, and which unit they hold."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Array2D, Dataset, Features, Image, Sequence, Value
from kdcli_huggingface.pictures import like
from kdcli_huggingface.source import HfSource
from PIL import Image as Pictures
from PIL.PngImagePlugin import PngInfo
from torch import from_numpy

from kdcli.cameras import turn_camera
from kdcli.errors import ConfigError, DataError
from kdcli.images import turn

SIZE = (16, 24)
CAMERA = (30.0, 31.0, 5.0, 9.0)
DEPTH = np.where(np.mgrid[: SIZE[0], : SIZE[1]].sum(0) < 12, 1.0, 4.0).astype(np.float32)
"""Near in the upper left, where the photograph is bright."""


def jpeg(orientation: int = 1) -> dict[str, Any]:
    stream, picture = io.BytesIO(), Pictures.fromarray(np.where(DEPTH < 2, 255, 0).astype(np.uint8))
    about = picture.getexif()
    about[0x0112] = orientation
    picture.save(stream, "JPEG", quality=100, exif=about)
    return {"bytes": stream.getvalue(), "path": None}


def png(numbers: Any, **notes: str) -> dict[str, Any]:
    stream, info = io.BytesIO(), PngInfo()
    for key, value in notes.items():
        info.add_text(key, value)
    Pictures.fromarray(numbers).save(stream, "PNG", pnginfo=info)
    return {"bytes": stream.getvalue(), "path": None}


def tiff(numbers: Any) -> dict[str, Any]:
    stream = io.BytesIO()
    Pictures.fromarray(numbers).save(stream, "TIFF")
    return {"bytes": stream.getvalue(), "path": None}


def saved(folder: Path, image: Any, depth: Any, kind: Any = None, **more: tuple[Any, Any]) -> str:
    kinds = {"image": Image(), "depth": kind or Image()} | {name: known for name, (known, _) in more.items()}
    row = {"image": [image], "depth": [depth]} | {name: [value] for name, (_, value) in more.items()}
    Dataset.from_dict(row, features=Features(kinds)).save_to_disk(str(folder))
    return str(folder)


@pytest.mark.parametrize("how", range(1, 9))
def test_all_that_belongs_to_a_turned_photograph_is_turned(tmp_path: Path, how: int) -> None:
    ids = (Image(), png((DEPTH < 2).astype(np.uint8)))
    place = saved(tmp_path / "t", jpeg(how), tiff(DEPTH), ids=ids, K=(Sequence(Value("float64")), CAMERA))
    sample = HfSource(location=place, instances="ids", camera="K")[0]
    assert sample.depth is not None and sample.instances is not None and sample.intrinsics is not None
    bright = sample.image[0].numpy() > 0.5
    assert (bright == (sample.depth[0].numpy() < 2)).mean() > 0.98  # JPEG blurs the edge
    assert np.array_equal(sample.instances.numpy() > 0, sample.depth[0].numpy() < 2)
    assert tuple(sample.intrinsics.tolist()) == turn_camera(CAMERA, how, SIZE)


@pytest.mark.parametrize("how", range(1, 9))
def test_turning_is_that_of_kdcli(how: int) -> None:
    grid = np.arange(12).reshape(3, 4)
    turned = turn(from_numpy(grid), how).numpy()
    assert np.array_equal(like(grid, how, turned.shape), turned)
    if how >= 5:
        assert np.array_equal(like(turned, how, turned.shape), turned)  # who made the map had turned it before


def test_the_unit_that_a_picture_names(tmp_path: Path) -> None:
    stored = np.round(DEPTH * 256).astype(np.uint16)
    place = saved(tmp_path / "a", jpeg(), png(stored, depth_units_per_metre="256"))
    for options, factor in (({}, 1), ({"scale": 512.0}, 0.5)):
        sample = HfSource(location=place, **options)[0]
        assert sample.depth is not None and np.allclose(sample.depth[0].numpy(), DEPTH * factor)
    for notes, said in (
        ({"depth_units_per_metre": "many"}, "says 'many' units per metre"),
        ({"near": "1", "far": "9"}, "logarithmic map"),
    ):
        place = saved(tmp_path / said, jpeg(), png(stored, **notes))
        with pytest.raises(DataError, match=said):
            HfSource(location=place)[0]


@pytest.mark.parametrize("kind", [Array2D(SIZE, "uint8"), Sequence(Sequence(Value("uint8")))])
def test_numbers_of_8_bits_are_no_depth_unless_said(tmp_path: Path, kind: Any) -> None:
    place = saved(tmp_path / "a", jpeg(), (DEPTH * 50).astype(np.uint8).tolist(), kind)
    with pytest.raises(ConfigError, match=r"column 'depth' .* holds numbers of 8 bits, too few for depth"):
        HfSource(location=place)
    sample = HfSource(location=place, scale=50)[0]
    assert sample.depth is not None and np.allclose(sample.depth[0].numpy(), DEPTH)


def test_bytes_that_are_no_picture(tmp_path: Path) -> None:
    place = saved(tmp_path / "a", {"bytes": b"nothing", "path": None}, tiff(DEPTH))
    with pytest.raises(DataError, match=r"row 0 .*, column 'image', holds bytes that are no picture"):
        HfSource(location=place)[0]
