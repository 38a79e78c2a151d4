"""Photographs decoded at reduced size for training: nearly the same images, and all else to the bit as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from kdcli.errors import DataError
from kdcli.images import read_picture, read_reduced
from kdcli.sources import load_source
from kdcli.sources.sized import sized
from kdcli.sources.subset import subset
from kdcli.training.batches.decoding import decoded
from kdcli.training.batches.feed import Feed
from kdcli.training.batches.joining import as_batch, resize_batch
from kdcli.training.batches.kept_images import KeptImages
from kdcli.types import Batch, Sample

CPU = torch.device("cpu")
LEVEL = 1 / 255


def smooth(height: int, width: int, seed: int = 0) -> Image.Image:
    """A picture without fine detail, of which every size says the same."""
    small = np.random.default_rng(seed).integers(40, 216, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def exact(path: Path, size: tuple[int, int]) -> torch.Tensor:
    return resize_batch(as_batch(Sample(id="", image=read_picture(path).image)), size).image[0]


@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp", "bmp"])
@pytest.mark.parametrize("turned", [1, 3, 6])
@pytest.mark.parametrize("size", [(60, 80), (80, 60), (32, 120), (115, 100)])
def test_it_is_nearly_the_picture(tmp_path: Path, ending: str, turned: int, size: tuple[int, int]) -> None:
    path, exif = tmp_path / f"a.{ending}", Image.Exif()
    exif[0x0112] = turned
    smooth(120, 160).save(path, **({} if ending == "bmp" else {"exif": exif}))
    whole, small = read_picture(path), read_reduced(path, size)
    assert (small.size, small.stored_size, small.turned) == (whole.size, whole.stored_size, whole.turned)
    if small.whole is None:  # one side is no larger than wanted
        assert torch.equal(small.image, whole.image) and (whole.size[0] < size[0] or whole.size[1] < size[1])
        return
    assert tuple(small.image.shape) == (3, *size)
    away = (small.image - exact(path, size)).abs()
    assert float(away.mean()) < LEVEL and float(away.max()) < (8 if ending == "jpg" else 1.5) * LEVEL
    assert torch.equal((small.image * 255).round() / 255, small.image), "8 bits"


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK"])
def test_pictures_of_other_colours(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.jpg" if mode in ("L", "CMYK") else "a.png")
    smooth(120, 160).convert(mode).save(path)
    assert float((read_reduced(path, (60, 80)).image - exact(path, (60, 80))).abs().mean()) < 2 * LEVEL


def test_sixteen_bits_come_whole(tmp_path: Path) -> None:
    Image.fromarray(np.arange(120 * 160, dtype=np.uint16).reshape(120, 160)).save(tmp_path / "a.png")
    found = read_reduced(tmp_path / "a.png", (60, 80))
    assert found.whole is None and torch.equal(found.image, read_picture(tmp_path / "a.png").image)


def test_a_jpeg_is_decoded_no_larger_than_it_must_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smooth(480, 640).save(tmp_path / "a.jpg")
    seen = []
    monkeypatch.setattr(
        "kdcli.images.reduced.coloured", lambda image, _: seen.append(image.size) or image.convert("RGB")
    )
    for size in ((240, 320), (239, 320), (241, 320), (60, 80), (33, 33)):
        read_reduced(tmp_path / "a.jpg", size)
    assert seen == [(320, 240), (320, 240), (640, 480), (80, 60), (80, 60)]


def test_a_broken_picture_is_the_same_one_line(tmp_path: Path) -> None:
    smooth(120, 160).save(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:1500])
    for read in (lambda path: read_picture(path), lambda path: read_reduced(path, (60, 80))):
        with pytest.raises(DataError, match=r"a\.jpg' is truncated or broken"):
            read(tmp_path / "a.jpg")


@pytest.fixture
def photographs(tmp_path: Path) -> str:
    """Six photographs with depth, ids of objects and a focal length; the last one lies on its side."""
    for folder in ("rgb", "depth", "ids"):
        (tmp_path / folder).mkdir()
    for i in range(6):
        exif = Image.Exif()
        exif[0x0112] = 6 if i == 5 else 1
        smooth(120, 160, i).save(tmp_path / f"rgb/{i}.jpg", exif=exif, quality=95)
        numbers = np.random.default_rng(i)
        Image.fromarray(numbers.integers(0, 9000, (120, 160)).astype(np.uint16)).save(tmp_path / f"depth/{i}.png")
        Image.fromarray(numbers.integers(0, 5, (120, 160), dtype=np.uint8)).save(tmp_path / f"ids/{i}.png")
    return f"folder:{tmp_path}/rgb,depths={tmp_path}/depth,instances={tmp_path}/ids"


def batches(source: Any, reduce: bool, size: tuple[int, int] = (60, 80)) -> Batch:
    return next(iter(decoded(source, [list(range(len(source)))], size, device=CPU, reduce=reduce)))


def test_all_but_the_image_is_the_same(photographs: str) -> None:
    source: Any = load_source(photographs)
    source.camera = lambda pair, height, width: (100.0, 90.0, width / 2, height / 3)
    whole, small = batches(source, False), batches(source, True)
    assert not torch.equal(whole.image, small.image)
    assert float((whole.image - small.image).abs().max()) < 4 * LEVEL
    for part in ("depth", "valid", "instances", "intrinsics", "labelled"):
        assert torch.equal(getattr(whole, part), getattr(small, part)), part


def test_parts_and_mixes_of_sources_pass_it_on(photographs: str, tmp_path: Path) -> None:
    source = load_source(photographs)
    some = subset(source, [4, 1])
    assert torch.equal(batches(some, True).image, batches(source, True).image[[4, 1]])
    both: Any = load_source(f"both:[{photographs}|folder:{tmp_path}/rgb]")
    for i in range(len(both)):
        item = sized(both, i, (60, 80))
        assert tuple(item.image.shape) == (3, 60, 80) and item.id == both[i].id
        assert (item.depth is None) == (both[i].depth is None)


def test_a_crop_of_the_data_set_takes_the_whole_picture(tmp_path: Path) -> None:
    smooth(480, 640).save(tmp_path / "rgb_0.jpg")
    Image.fromarray(np.full((480, 640), 2000, np.uint16)).save(tmp_path / "sync_depth_0.png")
    source = load_source(f"nyu:{tmp_path},crop=border")
    assert torch.equal(sized(source, 0, (60, 80)).image, source[0].image)


def test_kept_images_are_of_one_kind(photographs: str) -> None:
    source, kept = load_source(photographs), KeptImages(10**9)

    def first(reduce: bool) -> Batch:
        feed = Feed(source, batch_size=6, size=(60, 80), seed=1, device=CPU, kept=kept, reduce=reduce)
        return next(feed.batches(0, 1))

    whole, small = first(False), first(True)
    assert not torch.equal(whole.image, small.image)
    assert torch.equal(first(False).image, whole.image) and torch.equal(first(True).image, small.image)


def test_what_knows_images_by_all_pixels_reads_whole_ones(photographs: str) -> None:
    source, seen = load_source(photographs), []

    def reader(sample: Sample) -> torch.Tensor:
        seen.append(tuple(sample.image.shape[-2:]))
        return torch.zeros(1, 60, 80)

    next(iter(decoded(source, [[0, 1]], (60, 80), device=CPU, reader=reader, reduce=True)))
    assert seen == [(120, 160), (120, 160)]
