"""Depth of fewer bits than its PNG stores, and one-bit masks that mean either."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kdcli.errors import DataError
from kdcli.images.depths import read_depth
from kdcli.rasters.significant import significant_bits, unspread
from kdcli.sources.validity import read_mask

MILLIMETRES = np.array([[0, 500, 1000], [2000, 3999, 4094]], np.uint16)


def _png(path: Path, numbers: np.ndarray, bits: int | None) -> Path:
    """Write a grey PNG of 16 bits, with an sBIT chunk where bits are given."""
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width = numbers.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in numbers)
    told = b"" if bits is None else chunk(b"sBIT", bytes([bits]))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + told + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize("spread", [
    lambda n: np.round(n * (65535 / 4095)), lambda n: (n << 4) | (n >> 8), lambda n: np.floor(n * (65535 / 4095)),
], ids=["rounded", "repeated", "floored"])
def test_numbers_of_twelve_bits_are_read_as_they_were(tmp_path: Path, spread: object) -> None:
    stored = np.asarray(spread(MILLIMETRES.astype(np.int64))).astype(np.uint16)  # type: ignore[operator]
    depth, valid = read_depth(_png(tmp_path / "d.png", stored, 12))
    assert np.allclose(depth[0], MILLIMETRES / 1000) and valid[0].tolist() == (MILLIMETRES > 0).tolist()


@pytest.mark.parametrize("bits", [None, 12, 16])
def test_numbers_that_are_not_spread_stay(tmp_path: Path, bits: int | None) -> None:
    path = _png(tmp_path / "d.png", MILLIMETRES, bits)
    assert significant_bits(path) == bits
    assert np.allclose(read_depth(path)[0][0], MILLIMETRES / 1000)


def test_the_largest_number_stays_no_measurement() -> None:
    assert unspread(np.array([65535, 32007], np.uint16), 12).tolist() == [65535, 2000]


def test_a_one_bit_mask_that_writers_mean_either_way_is_refused(tmp_path: Path) -> None:
    mask = np.zeros((4, 8), bool)
    mask[:, 2:] = True
    Image.fromarray(mask).save(tmp_path / "black.tif")
    assert read_mask(tmp_path / "black.tif", (4, 8), tmp_path / "d.png")[0].numpy().tolist() == mask.tolist()
    Image.fromarray(mask).save(tmp_path / "white.tif", tiffinfo={262: 0})
    with pytest.raises(DataError, match="0 is white"):
        read_mask(tmp_path / "white.tif", (4, 8), tmp_path / "d.png")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    assert read_mask(tmp_path / "mask.png", (4, 8), tmp_path / "d.png")[0].numpy().tolist() == mask.tolist()
