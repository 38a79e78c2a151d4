"""Photographs that their metadata turns, and what belongs to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from kdcli.cameras import turn_camera
from kdcli.errors import DataError
from kdcli.images import image_size, read_depth, read_picture, read_stored, turn, turned_by
from kdcli.images.upright import like
from kdcli.sources import load_source
from kdcli.sources.checks import survey

ALL = range(1, 9)
HEIGHT, WIDTH = 12, 20


def tagged(how: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = how
    return exif


def scene(height: int = HEIGHT, width: int = WIDTH) -> tuple[np.ndarray, np.ndarray]:
    """Return a picture and depth that tell the same story: millimetres = 1000 + 10 * red."""
    rows, columns = np.mgrid[0:height, 0:width]
    red = (5 * rows + 7 * columns).astype(np.uint8)
    return np.stack([red, red // 2, red // 3], -1), (1000 + 10 * red.astype(np.uint16)).astype(np.uint16)


def stored(root: Path, how: int, size: tuple[int, int] = (HEIGHT, WIDTH), *, depth_upright: bool = False) -> str:
    """Write a photograph with a tag, its depth and ids, and return the spec of the set."""
    image, depth = scene(*size)
    for name in ("images", "depth", "instances"):
        (root / name).mkdir(parents=True)
    Image.fromarray(image).save(root / "images/a.png", exif=tagged(how))
    if depth_upright:
        depth = turn(torch.from_numpy(depth.astype(np.int32)), how).numpy().astype(np.uint16)
    Image.fromarray(depth).save(root / "depth/a.png")
    Image.fromarray((depth > 2000).astype(np.uint8)).save(root / "instances/a.png")
    return f"folder:{root}"


@pytest.mark.parametrize("how", ALL)
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_turning_is_that_of_pillow(tmp_path: Path, how: int, suffix: str) -> None:
    image, depth = scene()
    Image.fromarray(image).save(tmp_path / f"a{suffix}", exif=tagged(how))
    Image.fromarray(depth).save(tmp_path / f"d{suffix}", exif=tagged(how))
    plain = Image.fromarray(image)
    plain.getexif()[0x0112] = how
    wanted = np.asarray(ImageOps.exif_transpose(plain))
    picture = read_picture(tmp_path / f"a{suffix}")
    assert np.array_equal((picture.image * 255).round().numpy().transpose(1, 2, 0), wanted)
    assert picture.turned == how == turned_by(tmp_path / f"a{suffix}") and picture.stored_size == (HEIGHT, WIDTH)
    assert image_size(tmp_path / f"a{suffix}") == wanted.shape[:2]
    turned = turn(torch.from_numpy(depth.astype(np.float32)), how)
    assert np.array_equal(turned.numpy(), 1000 + 10 * wanted[..., 0].astype(np.float32))
    own = read_stored(tmp_path / f"d{suffix}")  # a depth map with a tag of its own
    assert torch.equal(own.values, turned) and own.turned == how


@pytest.mark.parametrize("how", ALL)
@pytest.mark.parametrize("size", [(HEIGHT, WIDTH), (WIDTH, HEIGHT), (16, 16)])
def test_depth_and_ids_turn_with_their_photograph(tmp_path: Path, how: int, size: tuple[int, int]) -> None:
    sample = load_source(stored(tmp_path, how, size))[0]
    assert sample.depth is not None and sample.valid is not None and sample.instances is not None
    red = (sample.image[0] * 255).round()
    assert torch.equal((sample.depth[0] * 1000).round(), 1000 + 10 * red) and sample.valid.all()
    assert torch.equal(sample.instances, (1000 + 10 * red > 2000).long())


@pytest.mark.parametrize("how", [5, 6, 7, 8])
def test_depth_that_is_upright_already_stays(tmp_path: Path, how: int) -> None:
    sample = load_source(stored(tmp_path, how, depth_upright=True))[0]
    assert sample.depth is not None
    assert torch.equal((sample.depth[0] * 1000).round(), 1000 + 10 * (sample.image[0] * 255).round())


@pytest.mark.parametrize("how", ALL)
def test_a_camera_turns_along(how: int) -> None:
    camera = (500.0, 400.0, 4.0, 3.0)
    there = turn_camera(camera, how, (HEIGHT, WIDTH))
    dot = torch.zeros(HEIGHT, WIDTH)
    dot[3, 4] = 1
    y, x = (turn(dot, how) == 1).nonzero()[0].tolist()
    assert there[2:] == (x, y) and there[:2] == ((400, 500) if how >= 5 else (500, 400))


def test_the_camera_of_a_turned_photograph(tmp_path: Path) -> None:
    image, depth = scene()
    for name in ("rgb", "depth"):
        (tmp_path / name).mkdir()
    Image.fromarray(image).save(tmp_path / "rgb/0.png", exif=tagged(6))
    np.save(tmp_path / "depth/0.npy", depth / 1000)
    (tmp_path / "camera-intrinsics.txt").write_text("50 0 4\n0 40 3\n0 0 1\n")
    sample = load_source(f"rgbd:{tmp_path}")[0]
    assert sample.intrinsics is not None and sample.intrinsics.tolist() == [40, 50, HEIGHT - 1 - 3, 4]


def test_what_is_turned_is_said(tmp_path: Path) -> None:
    sure = survey(load_source(stored(tmp_path / "a", 6))).findings
    assert [(f.level, "EXIF orientation 6" in f.message) for f in sure if "turned" in f.message] == [("info", True)]
    for i, (how, size) in enumerate(((3, (HEIGHT, WIDTH)), (6, (16, 16)))):
        doubt = survey(load_source(stored(tmp_path / str(i), how, size))).findings
        assert [f.level for f in doubt if "their sizes cannot tell" in f.message] == ["warning"]
    plain = survey(load_source(stored(tmp_path / "c", 1))).findings
    assert not [f for f in plain if "turned" in f.message]


def test_sizes_that_do_not_fit_mention_the_tag(tmp_path: Path) -> None:
    spec = stored(tmp_path, 6)
    Image.fromarray(np.ones((10, 13), np.uint16)).save(tmp_path / "depth/a.png")
    with pytest.raises(DataError, match=r"own depth map \(the photograph's EXIF orientation 6 turned or mirrored it\)"):
        load_source(spec)[0]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_metadata_turns_nothing(tmp_path: Path) -> None:
    image, _ = scene()
    for i, exif in enumerate((b"Exif\0\0junk", b"", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff")):
        path = tmp_path / f"{i}.jpg"
        Image.fromarray(image).save(path, exif=exif)
        assert read_picture(path).turned == 1 and image_size(path) == (HEIGHT, WIDTH)
    Image.fromarray(image).save(tmp_path / "9.png", exif=tagged(9))
    assert read_picture(tmp_path / "9.png").turned == 1


def test_like_keeps_what_fits_only_upright() -> None:
    portrait = torch.arange(6.0).view(3, 2)
    assert torch.equal(like(portrait, 6, (6, 4)), portrait)
    assert torch.equal(like(portrait.T, 6, (6, 4)), turn(portrait.T, 6))
    assert torch.equal(like(portrait, 1, (4, 6)), portrait)


def test_a_depth_map_without_photograph_is_as_its_tag_says(tmp_path: Path) -> None:
    _, depth = scene()
    Image.fromarray(depth).save(tmp_path / "d.png", exif=tagged(3))
    assert torch.equal(read_depth(tmp_path / "d.png")[0][0], turn(torch.from_numpy(depth / np.float32(1000)), 3))
