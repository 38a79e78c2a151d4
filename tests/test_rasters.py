"""Depth of every number type: TIFF, NPY, NPZ and PGM as people's tools write them, and as nobody should."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin

from kdcli.errors import ConfigError, DataError
from kdcli.images import depth_form, read_depth, read_image, read_stored, write_depth_png
from kdcli.rasters import guards
from kdcli.rasters.tiffs import Tiff

FORMATS = {"u": 1, "i": 2, "f": 3}
METRES = np.linspace(1, 9, 12).reshape(3, 4)
"""Numbers that every type of 16 bits or more holds exactly or nearly."""


def tiff(array: np.ndarray, order: str = "<", *, packed: bool = False, predictor: int = 1, samples: int = 1) -> bytes:
    """Return a TIFF of one strip, as libtiff would write it."""
    height, width = array.shape[:2]
    bits, form = 8 * array.dtype.itemsize, FORMATS[array.dtype.kind]
    data = array.astype(array.dtype.newbyteorder(order)).tobytes()
    if predictor == 3:  # bytes by significance, then differences along the row
        size = array.dtype.itemsize
        rows = np.frombuffer(array.astype(array.dtype.newbyteorder(">")).tobytes(), np.uint8)
        rows = rows.reshape(height, width, size).transpose(0, 2, 1).reshape(height, width * size)
        data = np.concatenate([rows[:, :1], rows[:, 1:] - rows[:, :-1]], 1).tobytes()
    if packed:
        data = zlib.compress(data)
    tags = [
        (256, 3, width), (257, 3, height), (258, 3, bits), (259, 3, 8 if packed else 1), (262, 3, 1), (273, 4, 8),
        (277, 3, samples), (278, 3, height), (279, 4, len(data)), (317, 3, predictor), (339, 3, form),
    ]  # fmt: skip
    entries = b"".join(
        struct.pack(f"{order}HHI", tag, kind, 1) + struct.pack(f"{order}HH" if kind == 3 else f"{order}I",
                                                               *((value, 0) if kind == 3 else (value,)))
        for tag, kind, value in tags
    )  # fmt: skip
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8 + len(data))
    return head + data + struct.pack(f"{order}H", len(tags)) + entries + struct.pack(f"{order}I", 0)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("kind", "packed", "predictor"),
    [
        *((kind, packed, 1) for kind in ("f2", "f4", "f8", "u1", "u2", "i2", "i4", "u4") for packed in (False, True)),
        *((kind, True, 3) for kind in ("f2", "f4", "f8")),
    ],
)
def test_tiff_of_every_type(tmp_path: Path, kind: str, order: str, packed: bool, predictor: int) -> None:
    values = METRES if kind[0] == "f" else METRES * 10 if kind == "u1" else METRES * 1000
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(values.astype(kind), order, packed=packed, predictor=predictor))
    stored = read_stored(path)
    assert np.array_equal(stored.values.numpy(), values.astype(kind).astype(np.float32))
    assert stored.valid.all() and stored.bits == (0 if kind[0] == "f" else 8 * int(kind[1]))
    assert depth_form(path).bits == stored.bits


def test_tiff_of_other_forms_is_named_for_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(tiff(METRES.astype("u8")))
    with pytest.raises(DataError, match=r"a\.tif' is a TIFF of 64-bit whole numbers, which is not read; store depth"):
        read_depth(tmp_path / "a.tif")
    (tmp_path / "b.tif").write_bytes(tiff(np.dstack([METRES] * 2).astype("f4"), samples=2))
    with pytest.raises(DataError, match="TIFF of 2 channels of 32-bit floats"):
        read_depth(tmp_path / "b.tif")


def test_a_half_float_tiff_is_no_photograph(tmp_path: Path) -> None:
    for name, kind in (("a.tif", "f2"), ("b.tif", "f8")):
        (tmp_path / name).write_bytes(tiff(METRES.astype(kind)))
        with pytest.raises(DataError, match="floating-point"):
            read_image(tmp_path / name)


def test_other_programs_see_tiff_as_before() -> None:
    with pytest.raises(OSError, match="cannot identify"):
        Image.open(io.BytesIO(tiff(METRES.astype("f2"))))
    assert not isinstance(Image.open(io.BytesIO(tiff(METRES.astype("u2")))), Tiff)


NUMBERS = ["i1", "u1", "<u2", ">u2", "i2", "i4", "u4", "i8", "u8", "<f2", ">f2", "f4", ">f8", "g"]


@pytest.mark.parametrize("kind", NUMBERS)
def test_npy_of_every_type(tmp_path: Path, kind: str) -> None:
    np.save(tmp_path / "a.npy", np.array([[3, 0, 100]], kind))
    stored = read_stored(tmp_path / "a.npy")
    assert stored.values.tolist() == [[3, 0, 100]] and stored.valid.tolist() == [[True, False, True]]
    assert stored.bits == depth_form(tmp_path / "a.npy").bits == (0 if "f" in kind or kind == "g" else
                                                                  8 * np.dtype(kind).itemsize)


@pytest.mark.parametrize(
    ("kind", "marks"),
    [
        ("u2", [0, 65535]), ("i2", [0, -1, 32767]), ("i4", [-1, 65535, 2**31 - 1]), ("u4", [65535, 2**32 - 1]),
        ("i8", [-1, 65535, 2**63 - 1]), ("f2", [-1, np.nan, np.inf, 65504]),
        ("f4", [-1, np.nan, -np.inf, 65535, 65504, 1e10, np.finfo("f4").max]), ("f8", [1e10, 1e300, 65535]),
    ],
)  # fmt: skip
def test_marks_for_no_measurement(tmp_path: Path, kind: str, marks: list[float]) -> None:
    np.save(tmp_path / "a.npy", np.array([[2, *marks, 3]], kind))
    depth, valid = read_depth(tmp_path / "a.npy")
    assert valid[0, 0].tolist() == [True, *(False for _ in marks), True]
    assert not depth[~valid].any() and depth[0, 0, -1] == pytest.approx(3 if kind[0] == "f" else 0.003)


def test_far_is_judged_in_metres(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[2e5, 3e3]], np.float32))
    assert read_depth(tmp_path / "a.npy")[1].tolist() == [[[False, True]]]
    assert read_depth(tmp_path / "a.npy", scale=1000)[0].tolist() == [[[200, 3]]]


def test_a_png_that_names_its_unit_is_read_in_it(tmp_path: Path) -> None:
    write_depth_png(tmp_path / "a.png", torch.from_numpy(METRES), scale=256)
    assert np.allclose(read_depth(tmp_path / "a.png")[0], METRES, atol=1 / 256)
    assert np.allclose(read_depth(tmp_path / "a.png", scale=512)[0], METRES / 2, atol=1 / 256)
    assert depth_form(tmp_path / "a.png").scale == 256


@pytest.mark.parametrize("text", ["nan", "0", "-1", "inf", "1e-300", "metres"])
def test_a_png_that_names_no_unit_for_its_unit(tmp_path: Path, text: str) -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("depth_units_per_metre", text)
    Image.fromarray(np.ones((2, 2), np.uint16)).save(tmp_path / "a.png", pnginfo=notes)
    with pytest.raises(DataError, match=rf"a\.png' says '{text}' units per metre"):
        read_depth(tmp_path / "a.png")


@pytest.mark.parametrize("mode", ["P", "1", "LA", "RGB", "RGBA"])
def test_pictures_that_are_no_depth(tmp_path: Path, mode: str) -> None:
    Image.new("RGB", (4, 3), (255, 255, 255)).convert(mode).save(tmp_path / "a.png")
    for read in (read_depth, depth_form):
        with pytest.raises(DataError, match=f"a picture of mode {mode}, not a depth map"):
            read(tmp_path / "a.png")


def ramp() -> np.ndarray:
    rows, columns = np.mgrid[0:24, 0:32]
    return (1500 + 37 * rows + 11 * columns).astype(np.uint16)


@pytest.mark.parametrize(
    "header",
    [
        b"P5\r\n32 24\r\n65535\r\n", b"P5\r\n# made on Windows\r\n32 24\r\n65535\r\n", b"P5 32 24 65535 ",
        b"P5\n#\n32\n# width before height\n24\n65535\n", b"P5\n32 24 # both\n65535\n", b"P5\t32\n\n24\n\n65535\n",
        b"P5\n32 24\n65535\n# behind the maximum\n", b"P5#glued\n32 24 65535\n", b"P5\r32 24\r65535\r",
    ],
)  # fmt: skip
def test_headers_of_pgm_as_programs_write_them(tmp_path: Path, header: bytes) -> None:
    (tmp_path / "a.pgm").write_bytes(header + ramp().astype(">u2").tobytes())
    stored = read_stored(tmp_path / "a.pgm")
    assert np.array_equal(stored.values.numpy(), ramp()) and not stored.swapped
    assert depth_form(tmp_path / "a.pgm").bits == 16


def test_a_first_pixel_that_looks_like_a_line_end(tmp_path: Path) -> None:
    for first in (10, 35):  # a line feed, a number sign
        pixels = np.full((2, 3), 7, np.uint8)
        pixels[0, 0] = first
        (tmp_path / "a.pgm").write_bytes(b"P5\r\n3 2\r\n255\n" + pixels.tobytes())
        assert np.array_equal(read_stored(tmp_path / "a.pgm").values.numpy(), pixels)


@pytest.mark.parametrize(
    "content", [b"P5 3 2 0\n" + b"1" * 6, b"P5 3 2 70000\n" + b"1" * 12, b"P5 " + b"9" * 5000 + b" 2 255\n", b"P5 # "]
)
def test_headers_that_no_pgm_can_have(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pgm").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.pgm"):
        read_stored(tmp_path / "a.pgm")


@pytest.mark.parametrize("key", ["valid", "mask", "valid_mask", "validity"])
@pytest.mark.parametrize("kind", [np.bool_, np.uint8, np.float32])
def test_masks_in_an_npz(tmp_path: Path, key: str, kind: type) -> None:
    np.savez(tmp_path / "a.npz", **{"depth": METRES, key: (METRES < 5).astype(kind)})
    assert np.array_equal(read_depth(tmp_path / "a.npz")[1][0], METRES < 5)
    np.savez(tmp_path / "a.npz", **{"map": METRES, key: (METRES < 5)[..., None]})
    assert np.array_equal(read_depth(tmp_path / "a.npz")[1][0], METRES < 5)


def test_masks_of_what_is_not_valid(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", depth=METRES, invalid=METRES < 5, mask=METRES < 8)
    assert np.array_equal(read_depth(tmp_path / "a.npz")[1][0], (METRES >= 5) & (METRES < 8))
    holes = np.where(METRES < 5, 0, METRES)
    np.savez(tmp_path / "b.npz", depth=holes, mask=holes == 0)
    with pytest.raises(DataError, match=r"b\.npz' has a mask that is set only where the depth has no value"):
        read_depth(tmp_path / "b.npz")


def header_of(shape: str, descr: str = "<f4") -> bytes:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize("shape", ["(3000000, 3000000)", "(-1, 4)", "(9000, 9000)", "(2, 2"])
def test_an_array_is_as_large_as_its_bytes(tmp_path: Path, shape: str) -> None:
    (tmp_path / "a.npy").write_bytes(header_of(shape) + b"\0" * 64)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("depth.npy", header_of(shape) + b"\0" * 64)
    for name in ("a.npy", "a.npz"):
        with pytest.raises(DataError, match=name) as caught:
            read_depth(tmp_path / name)
        assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("error")
def test_an_array_beyond_what_numbers_can_count_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "0.npy"
    with file.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": (2**31, 2**31)})
    with pytest.raises(DataError, match=r"2147483648 x 2147483648\), more than the limit"):
        read_depth(file)


def test_damaged_compression_in_an_npz_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, depth=np.random.default_rng(0).random((40, 40)))
    whole = path.read_bytes()
    path.write_bytes(whole[:200] + b"\xff" * 50 + whole[250:])
    with pytest.raises(DataError, match="not a readable array file"):
        read_depth(path)


def test_the_limit_of_pixels_names_the_size_and_can_be_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "PIXEL_LIMIT", 1_000_000)
    Image.new("L", (1200, 1000), 7).save(tmp_path / "a.png")
    said = r"1 megapixels \(1200 x 1000\), more than the limit of 1 megapixels; .* KDCLI_MAX_MEGAPIXELS=2"
    with pytest.raises(DataError, match=said):
        read_stored(tmp_path / "a.png")
    monkeypatch.setenv("KDCLI_MAX_MEGAPIXELS", "2")
    assert read_stored(tmp_path / "a.png").valid.all()
    for text in ("0", "nan", "many", "-4", "1e9"):
        monkeypatch.setenv("KDCLI_MAX_MEGAPIXELS", text)
        with pytest.raises(ConfigError, match=f"KDCLI_MAX_MEGAPIXELS={text}"):
            read_stored(tmp_path / "a.png")


def test_formats_that_start_programs_are_not_opened(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\nshowpage\n")
    with pytest.raises(DataError, match="not an image in a known format"):
        read_image(tmp_path / "a.png")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_damaged_pictures_are_one_line(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)).save(path)
    whole = path.read_bytes()
    generator = np.random.default_rng(1)
    refused = 0
    for _ in range(60):
        spoilt = bytearray(whole[: generator.integers(20, len(whole))] if generator.random() < 0.5 else whole)
        for at in generator.integers(0, min(len(spoilt), 200), 3):
            spoilt[at] = generator.integers(256)
        path.write_bytes(spoilt)
        try:
            image = read_image(path)
            assert image.min() >= 0 and image.max() <= 1
        except DataError as error:
            refused += 1
            assert str(path) in str(error) and "\n" not in str(error)
    assert refused > 10


def test_two_arrays_of_one_name_in_an_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", depth=METRES)
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("depth.npy", archive.read("depth.npy"))
    with pytest.raises(DataError, match="'depth' twice"):
        read_depth(tmp_path / "a.npz")
