"""Every kind of file that a row of the table lists gives back the depth that went in, and so does every property."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from codec_files import CAMERA, RIG, TRUTH, disparities, hdf5, pfm
from PIL import Image

from kdcli.codecs import CODECS, Codec
from kdcli.images import read_stored, to_metres

Array = np.ndarray[Any, Any]


def saved(path: Path, numbers: Array) -> None:
    Image.fromarray(numbers).save(path)


def graymap(path: Path, numbers: Array) -> None:
    height, width = numbers.shape
    path.write_bytes(f"P5\n{width} {height}\n65535\n".encode() + numbers.astype(">u2").tobytes())


def openexr(path: Path, numbers: Array) -> None:
    library = pytest.importorskip("OpenEXR")
    head = {"type": library.scanlineimage, "compression": library.ZIP_COMPRESSION}
    library.File(head, {"Z": numbers.astype(np.float32)}).write(str(path))


WRITERS: dict[str, Callable[[Path, Array], object]] = {
    "png": saved, "pgm": graymap, "tif": saved, "tiff": saved, "npy": np.save, "exr": openexr,
    "npz": lambda path, numbers: np.savez(path, depth=numbers), "pfm": lambda path, numbers: pfm(path, numbers, "<"),
    "h5": lambda path, numbers: hdf5(path, "depth", numbers),
    **dict.fromkeys(("jpg", "bin", "raw"), lambda path, numbers: path.write_bytes(numbers.astype("<f4").tobytes())),
}  # fmt: skip
SEVERAL = ("millimetres", "metres", "eth3d", "headerless", "disparity")
EACH = [(name, ending) for name in SEVERAL for ending in CODECS[name].containers]


def test_rows_of_several_kinds_of_files_are_all_here() -> None:
    assert {name for name, codec in CODECS.items() if len(codec.containers) > 1} == set(SEVERAL)


def back(path: Path, codec: Codec) -> Array:
    stored = read_stored(path, codec, size=TRUTH.shape)
    depth, valid = to_metres(stored, codec, path, camera=CAMERA, rig=RIG)
    assert (valid[0].numpy() == (TRUTH > 0)).all()
    return depth[0].numpy()


@pytest.mark.parametrize(("name", "ending"), EACH)
def test_every_container(tmp_path: Path, name: str, ending: str) -> None:
    numbers = disparities() if name == "disparity" else TRUTH
    stored = (TRUTH * 1000).round().astype(np.uint16) if name == "millimetres" else numbers.astype(np.float32)
    path = tmp_path / f"depth.{ending}"
    WRITERS[ending](path, stored)
    np.testing.assert_allclose(back(path, CODECS[name]), TRUTH, rtol=1e-5)


BYTES = CODECS["millimetres"]
CHANGES: dict[str, tuple[Codec, Callable[[Array], Array]]] = {
    "scale": (replace(BYTES, scale=400.0), lambda depth: depth * 400),
    "offset": (replace(BYTES, offset=7.0), lambda depth: np.where(depth > 0, depth * 1000 + 7, 0)),
    "rows from the bottom up": (replace(BYTES, flipped=True), lambda depth: depth[::-1] * 1000),
    "bytes swapped": (replace(BYTES, swapped=True), lambda depth: (depth * 1000).round().astype("<u2").view(">u2")),
    "bits rotated by five": (
        replace(BYTES, rotate=5),
        lambda depth: (((d := (depth * 1000).round().astype(np.uint32)) << 5) | (d >> 11)) & 0xFFFF,
    ),
    "a mark for nothing": (replace(BYTES, none=(4242.0,)), lambda depth: np.where(depth > 0, depth * 1000, 4242)),
    "sky": (replace(BYTES, sky=60000.0), lambda depth: np.where(depth > 0, depth * 1000, 60000)),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_every_property_alone(tmp_path: Path, change: str) -> None:
    codec, store = CHANGES[change]
    path = tmp_path / "depth.png"
    saved(path, np.ascontiguousarray(np.round(store(TRUTH)).astype(np.uint16)))
    np.testing.assert_allclose(back(path, codec), TRUTH, rtol=2e-3)


def test_rows_of_floats_without_a_header_from_the_bottom_up(tmp_path: Path) -> None:
    path = tmp_path / "depth.raw"
    path.write_bytes(TRUTH[::-1].astype("<f4").tobytes())
    np.testing.assert_array_equal(back(path, replace(CODECS["headerless"], flipped=True)), TRUTH)
