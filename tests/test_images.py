"""Reading and writing pictures and depth maps, and refusing what is broken."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from kdcli.errors import ConfigError, DataError
from kdcli.images import image_size, read_depth, read_image, read_stored, write_depth_npy, write_depth_png, write_image
from kdcli.rasters import guards


def picture(height: int = 6, width: int = 9) -> torch.Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(0)).mul(255).round() / 255


def save16(path: Path, values: list[list[int]]) -> Path:
    Image.fromarray(np.array(values, dtype=np.uint16)).save(path)
    return path


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".ppm", ".tif"])
def test_a_picture_survives_the_disk(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    write_image(path, picture())
    back = read_image(path)
    assert back.dtype == torch.float32 and back.is_contiguous()
    assert torch.equal(back, picture())
    assert image_size(path) == (6, 9)
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name]


def test_a_picture_needs_a_known_ending(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a\.xyz"):
        write_image(tmp_path / "a.xyz", picture())


def test_a_phone_photo_is_turned_upright(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # turn 90 degrees clockwise to see it upright
    pixels = np.zeros((8, 16, 3), np.uint8)
    pixels[:, :8] = 255  # bright on the left as stored, so on top when upright
    Image.fromarray(pixels).save(path, exif=exif, quality=95)
    image = read_image(path)
    assert image.shape == (3, 16, 8) and image_size(path) == (16, 8)
    assert image[:, :6].mean() > 0.9 and image[:, -6:].mean() < 0.1


def test_grey_of_16_bits_is_scaled_not_clipped(tmp_path: Path) -> None:
    image = read_image(save16(tmp_path / "a.png", [[0, 32768, 65535]]))
    assert image.shape == (3, 1, 3)
    assert torch.allclose(image[0, 0], torch.tensor([0, 0.5, 1]), atol=1e-4)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "CMYK", "1"])
def test_other_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.new("RGB", (4, 3), (255, 255, 255)).convert(mode).save(path)
    assert torch.equal(read_image(path), torch.ones(3, 3, 4))


def test_16_bit_png_and_its_holes(tmp_path: Path) -> None:
    path = save16(tmp_path / "a.png", [[0, 1000, 65535], [65534, 256, 1]])
    depth, valid = read_depth(path)
    assert depth.shape == valid.shape == (1, 2, 3) and valid.dtype == torch.bool
    assert valid[0].tolist() == [[False, True, False], [True, True, True]]
    assert torch.allclose(depth[0], torch.tensor([[0, 1.0, 0], [65.534, 0.256, 0.001]]))
    assert read_depth(path, scale=256)[0][0, 1, 1] == 1.0


def test_8_bit_png_has_no_marker(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 255]], np.uint8)).save(tmp_path / "a.png")
    stored = read_stored(tmp_path / "a.png")
    assert stored.bits == 8 and stored.values.tolist() == [[0, 255]] and stored.valid.tolist() == [[False, True]]


def ramp() -> np.ndarray:
    rows, columns = np.mgrid[0:24, 0:32]
    return (1500 + 37 * rows + 11 * columns).astype(np.uint16)


@pytest.mark.parametrize("swapped", [False, True])
def test_pgm_in_either_byte_order(tmp_path: Path, swapped: bool) -> None:
    path = tmp_path / "a.pgm"
    body = ramp().astype("<u2" if swapped else ">u2").tobytes()
    path.write_bytes(b"P5\n# a comment\n32 24\n65535\n" + body)
    stored = read_stored(path)
    assert stored.swapped is swapped and stored.bits == 16
    assert np.array_equal(stored.values.numpy(), ramp())


def test_pgm_with_a_small_maximum_keeps_its_unit(tmp_path: Path) -> None:
    (tmp_path / "a.pgm").write_bytes(b"P5 32 24 10000\n" + ramp().astype(">u2").tobytes())
    assert np.array_equal(read_stored(tmp_path / "a.pgm").values.numpy(), ramp())


@pytest.mark.parametrize(
    "content", [b"P5 32 24 65535\n" + b"\0" * 100, b"P2 2 1 9\n1 2", b"P5 32", b"P5 0 4 255\n", b"x"]
)
def test_a_broken_pgm_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pgm").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.pgm"):
        read_stored(tmp_path / "a.pgm")


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_npy_with_every_kind_of_no_value(tmp_path: Path, kind: str) -> None:
    array = np.array([[[[1.5, np.inf, np.nan], [-9.999, 0, -np.inf]]]], dtype=kind)
    np.save(tmp_path / "a.npy", array)
    depth, valid = read_depth(tmp_path / "a.npy")
    assert depth.tolist() == [[[1.5, 0, 0], [0, 0, 0]]]
    assert valid.sum() == 1


def test_whole_numbers_in_npy_are_millimetres(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[1500, 0, 65535]], np.uint16))
    depth, valid = read_depth(tmp_path / "a.npy")
    assert depth.tolist() == [[[1.5, 0, 0]]] and valid.sum() == 1


def test_npz_by_name_with_its_mask_or_alone(tmp_path: Path) -> None:
    values = np.array([[1.0, 2.0]], np.float32)
    np.savez(tmp_path / "named.npz", depth=values, valid=np.array([[True, False]]), other=np.zeros(3))
    assert read_depth(tmp_path / "named.npz")[1].tolist() == [[[True, False]]]
    np.savez(tmp_path / "alone.npz", values)
    assert read_depth(tmp_path / "alone.npz")[0].tolist() == [[[1.0, 2.0]]]
    np.savez(tmp_path / "two.npz", a=values, b=values)
    with pytest.raises(DataError, match="a, b"):
        read_depth(tmp_path / "two.npz")


@pytest.mark.parametrize(
    "array", [np.zeros((2, 3, 3)), np.zeros(4), np.zeros((0, 4)), np.array([["a"]]), np.zeros((2, 2), bool)]
)
def test_an_array_that_is_no_map_is_refused(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(DataError, match=r"a\.npy"):
        read_depth(tmp_path / "a.npy")


def test_pickled_arrays_are_not_executed(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="holds object of shape 1, not one map"):
        read_depth(tmp_path / "a.npy")


def test_a_coloured_picture_is_no_depth(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", picture())
    with pytest.raises(DataError, match="mode RGB"):
        read_depth(tmp_path / "a.png")


def test_depth_png_survives_the_disk(tmp_path: Path) -> None:
    depth = torch.tensor([[[0.0, 1.2344, 9.0], [float("nan"), 0.0001, 4.0]]])
    valid = torch.ones_like(depth, dtype=torch.bool)
    valid[0, 1, 2] = False
    write_depth_png(tmp_path / "a.png", depth, valid=valid)
    back, known = read_depth(tmp_path / "a.png")
    assert torch.allclose(back, torch.tensor([[[0, 1.234, 9.0], [0, 0.001, 0]]]))
    assert known.tolist() == [[[False, True, True], [False, True, False]]]
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "I;16" and image.text["depth_units_per_metre"] == "1000"


def test_depth_too_far_for_16_bits_is_not_cut(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="80 m"):
        write_depth_png(tmp_path / "a.png", torch.full((2, 2), 80.0))
    assert not list(tmp_path.iterdir())
    write_depth_png(tmp_path / "a.png", torch.full((2, 2), 80.0), scale=256)
    assert torch.equal(read_depth(tmp_path / "a.png", scale=256)[0], torch.full((1, 2, 2), 80.0))


def test_depth_npy_survives_the_disk(tmp_path: Path) -> None:
    depth = torch.rand(1, 1, 4, 5) + 0.1
    write_depth_npy(tmp_path / "a.npy", depth)
    assert torch.equal(read_depth(tmp_path / "a.npy")[0], depth[0])


def truncated(path: Path) -> None:
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 65535, (64, 64), dtype=np.uint16)
    Image.fromarray(noise).save(stream, "PNG")
    path.write_bytes(stream.getvalue()[:3000])


def pointer(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (truncated, "truncated or broken"),
        (pointer, "git lfs pull"),
        (lambda path: path.write_bytes(b""), "0 bytes"),
        (lambda path: path.write_bytes(b"no picture at all" * 9), "not an image"),
        (lambda path: None, "does not exist"),
        (lambda path: path.mkdir(), "is a folder"),
    ],
)
def test_broken_files_are_named_in_one_line(tmp_path: Path, spoil: object, said: str) -> None:
    path = tmp_path / "bad.png"
    spoil(path)  # type: ignore[operator]
    for read in (read_image, read_depth):
        with pytest.raises(DataError, match=said) as caught:
            read(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("side", [15_000, 40_000, 60_000_000])
def test_a_huge_picture_is_refused_before_it_is_decoded(tmp_path: Path, side: int) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, 16, 0, 0, 0, 0)
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")))
    for read in (read_image, read_depth, image_size):
        with pytest.raises(DataError, match="limit of 100 megapixels"):
            read(tmp_path / "a.png")


def test_a_huge_array_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "PIXEL_LIMIT", 100)
    np.save(tmp_path / "a.npy", np.ones((20, 20), np.float32))
    np.savez_compressed(tmp_path / "a.npz", depth=np.ones((20, 20), np.float64))
    for name in ("a.npy", "a.npz"):
        with pytest.raises(DataError, match="limit"):
            read_depth(tmp_path / name)


def test_real_pgm_of_kinect_tools(shared: Path) -> None:
    right = read_stored(shared / "data/slambook_rgbd_pgm/rgbd/depth/1.pgm")
    wrong = read_stored(shared / "data/nyu_raw_kinect/NYU_depth.pgm")
    assert (right.swapped, wrong.swapped) == (False, True)
    assert right.values[right.valid].median().item() == 2915
    metres = 351.3 / (1092.5 - wrong.values)
    assert metres[(metres > 0) & (metres < 10)].median().item() == pytest.approx(3.27, abs=0.01)
