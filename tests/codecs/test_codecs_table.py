"""Every row of the table gives back the depth that went in."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from kdcli.codecs import CODECS, Codec, find_codec
from kdcli.errors import ConfigError, DataError
from kdcli.images import Rig, read_stored, to_metres

TRUTH = np.array([[0, 0.75, 1.5, 3.0], [2.0, 2.25, 4.5, 6.0], [8.0, 0, 1.25, 5.0]], np.float32)
"""Metres; 0 = no measurement."""
CAMERA = (4.0, 4.0, 1.5, 1.0)
RIG = Rig(focal_baseline=40.0, offset=3.0)


def png(path: Path, numbers: np.ndarray[Any, Any], **notes: str) -> Path:
    info = PngInfo()
    for key, value in notes.items():
        info.add_text(key, value)
    Image.fromarray(numbers.astype(np.uint16)).save(path.with_suffix(".png"), pnginfo=info)
    return path.with_suffix(".png")


def whole(codec: Codec, depth: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    assert codec.scale is not None
    return np.round(depth * codec.scale).astype(np.uint16)


def rays() -> np.ndarray[Any, Any]:
    y, x = np.mgrid[0:3, 0:4]
    return TRUTH * np.sqrt(1 + ((x - CAMERA[2]) / CAMERA[0]) ** 2 + ((y - CAMERA[3]) / CAMERA[1]) ** 2)


def disparities(scale: float = 1.0, offset: float = 0.0) -> np.ndarray[Any, Any]:
    with np.errstate(divide="ignore"):
        pixels = RIG.focal_baseline / TRUTH - RIG.offset
    return np.where(TRUTH > 0, pixels * scale + offset, 0)


def hdf5(path: Path, key: str, array: np.ndarray[Any, Any]) -> Path:
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        file[key] = array
    return path


def matlab(path: Path, **variables: Any) -> Path:
    io = pytest.importorskip("scipy.io")
    io.savemat(path, variables)
    return path


def pfm(path: Path, array: np.ndarray[Any, Any], order: str) -> Path:
    head = f"Pf\n{array.shape[1]} {array.shape[0]}\n{'-1.0' if order == '<' else '1.0'}\n".encode()
    path.write_bytes(head + array[::-1].astype(f"{order}f4").tobytes())
    return path


def kinect(path: Path) -> Path:
    with np.errstate(divide="ignore"):
        numbers = np.where(TRUTH > 0, np.round(1092.5 - 351.3 / TRUTH), 0).astype("<u2")  # PGM wants big-endian
    path.with_suffix(".pgm").write_bytes(b"P5 4 3 65535\n" + numbers.tobytes())
    return path.with_suffix(".pgm")


def moge(path: Path) -> Path:
    near, far = 0.5, 10.0
    with np.errstate(divide="ignore"):
        share = (np.log(TRUTH) - np.log(near)) / (np.log(far) - np.log(near))
    return png(path, np.where(TRUTH > 0, np.round(share * 65533) + 1, 0), near=str(near), far=str(far))


def packed(path: Path) -> Path:
    path = path.with_suffix(".png")
    Image.fromarray(np.ascontiguousarray(TRUTH).view(np.uint8).reshape(3, 4, 4), "RGBA").save(path)
    return path


def dpt(path: Path) -> Path:
    path.with_suffix(".dpt").write_bytes(struct.pack("<fii", 202021.25, 4, 3) + TRUTH.tobytes())
    return path.with_suffix(".dpt")


def plain_floats(path: Path) -> Path:
    path.with_suffix(".JPG").write_bytes(np.where(TRUTH > 0, TRUTH, np.inf).astype("<f4").tobytes())
    return path.with_suffix(".JPG")


def array(path: Path, numbers: np.ndarray[Any, Any]) -> Path:
    np.save(path.with_suffix(".npy"), numbers)
    return path.with_suffix(".npy")


STRUCT = np.zeros((1, 1), [("depth", object)])
STRUCT["depth"][0, 0] = TRUTH.astype(np.float64)

WRITERS: dict[str, Callable[[Path], Path]] = {
    "by-type": lambda p: png(p, TRUTH * 1000),
    "metres": lambda p: array(p, np.where(TRUTH > 0, TRUTH, np.nan)),
    "sunrgbd": lambda p: png(p, (whole(CODECS["sunrgbd"], TRUTH) << 3) | (whole(CODECS["sunrgbd"], TRUTH) >> 13)),
    "nyu-kinect": kinect,
    "nyu-labelled": lambda p: hdf5(p.with_suffix(".mat"), "depths", TRUTH),
    "fastdepth": lambda p: hdf5(p.with_suffix(".h5"), "depth", TRUTH),
    "megadepth": lambda p: hdf5(p.with_suffix(".h5"), "depth", np.where(TRUTH > 0, TRUTH, -3)),
    "hypersim": lambda p: hdf5(p.with_suffix(".hdf5"), "dataset", np.where(TRUTH > 0, rays(), np.nan)),
    "ibims-mat": lambda p: matlab(p.with_suffix(".mat"), data=STRUCT),
    "make3d": lambda p: matlab(p.with_suffix(".mat"), Position3DGrid=TRUTH),
    "eth3d": plain_floats,
    "headerless": plain_floats,
    "sintel": dpt,
    "tartanair": lambda p: array(p, TRUTH),
    "tartanair2": packed,
    "moge": moge,
    "scenenet": lambda p: png(p, np.round(rays() * 1000)),
    "disparity": lambda p: pfm(p.with_suffix(".pfm"), disparities(), "<"),
    "kitti-disparity": lambda p: png(p, np.round(disparities(256))),
    "cityscapes": lambda p: png(p, np.round(disparities(256, 1))),
    "micro-tof": lambda p: array(p, np.where(TRUTH > 0, TRUTH, np.float32(-9.999))),
}
"""Codec -> what writes ``TRUTH`` in it; the others are plain scales of 16-bit PNGs."""
ROUGH = {"cityscapes": 0.02, "kitti-disparity": 0.02, "nyu-kinect": 0.03, "vkitti2": 0.005, "scenenet": 1e-3}
"""Share of the depth by which whole numbers of this encoding round it; of the others one in a thousand."""


@pytest.mark.parametrize("name", CODECS)
def test_what_went_in_comes_out(tmp_path: Path, name: str) -> None:
    codec = find_codec(name)
    write = WRITERS.get(name, lambda path: png(path, whole(codec, TRUTH)))
    path = write(tmp_path / "depth")
    depth, valid = to_metres(read_stored(path, codec, size=(3, 4)), codec, path, camera=CAMERA, rig=RIG)
    assert depth.shape == valid.shape == (1, 3, 4) and depth.dtype.is_floating_point
    truth = TRUTH if name != "nyu-kinect" else np.where(TRUTH < 10, TRUTH, 0)
    assert (valid[0].numpy() == (truth > 0)).all() and (depth[~valid] == 0).all()
    np.testing.assert_allclose(depth[0].numpy()[truth > 0], truth[truth > 0], rtol=ROUGH.get(name, 2e-3))


def test_sky_is_marked_and_no_measurement(tmp_path: Path) -> None:
    codec = CODECS["vkitti2"]
    path = png(tmp_path / "a", np.array([[250, 65535], [8000, 0]]))
    stored = read_stored(path, codec)
    assert stored.sky is not None and stored.sky.tolist() == [[False, True], [False, False]]
    assert stored.valid.tolist() == [[True, False], [True, False]]
    assert to_metres(stored, codec, path)[0][0].tolist() == [[2.5, 0], [80, 0]]


def test_rotated_bits_do_not_grow(tmp_path: Path) -> None:
    numbers = np.array([[1, 0x8000, 0xFFF8]])
    stored = read_stored(png(tmp_path / "a", numbers), CODECS["sunrgbd"])
    assert stored.values.tolist() == [[0x2000, 0x1000, 0x1FFF]]  # rotated within 16 bits, not shifted in 32


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_float_map_has_its_first_row_last(tmp_path: Path, order: str) -> None:
    path = pfm(tmp_path / "a.pfm", np.array([[1, 2], [3, 4], [5, 6]], np.float32), order)
    assert read_stored(path).values.tolist() == [[1, 2], [3, 4], [5, 6]]


def test_an_openexr_file(tmp_path: Path) -> None:
    library = pytest.importorskip("OpenEXR")
    head = {"type": library.scanlineimage, "compression": library.ZIP_COMPRESSION}
    library.File(head, {"Z": TRUTH}).write(str(tmp_path / "z.exr"))
    library.File(head, {"RGB": np.stack([TRUTH] * 3, -1)}).write(str(tmp_path / "grey.exr"))
    library.File(head, {"RGB": np.stack([TRUTH, TRUTH, TRUTH + 1], -1)}).write(str(tmp_path / "colour.exr"))
    for name in ("z", "grey"):
        assert (read_stored(tmp_path / f"{name}.exr").values.numpy() == TRUTH).all()
    with pytest.raises(DataError, match="none of which is surely depth"):
        read_stored(tmp_path / "colour.exr")
    (tmp_path / "cut.exr").write_bytes((tmp_path / "z.exr").read_bytes()[:90])
    with pytest.raises(DataError, match=r"cut\.exr' is truncated or broken"):
        read_stored(tmp_path / "cut.exr")


@pytest.mark.parametrize(
    ("name", "write", "words"),
    [
        ("sunrgbd", lambda p: array(p, TRUTH), "16-bit whole numbers"),
        ("moge", lambda p: png(p, TRUTH * 1000), "'near' and 'far'"),
        ("tartanair2", lambda p: png(p, TRUTH * 1000), "four channels"),
        ("eth3d", lambda p: png(p, TRUTH * 1000), "would have 48 as floats of an image of 3x4"),
        ("sintel", lambda p: (p.with_suffix(".dpt").write_bytes(b"\0" * 60), p.with_suffix(".dpt"))[1], "Sintel"),
        ("disparity", lambda p: pfm(p.with_suffix(".pfm"), TRUTH, "<"), "focal_baseline="),
        ("hypersim", lambda p: hdf5(p.with_suffix(".hdf5"), "dataset", TRUTH), "give focal="),
        ("fastdepth", lambda p: hdf5(p.with_suffix(".h5"), "rgb", TRUTH), "no array 'depth' (it has: rgb)"),
        ("fastdepth", lambda p: (p.with_suffix(".h5").write_bytes(b"no"), p.with_suffix(".h5"))[1], "no HDF5 file"),
        ("make3d", lambda p: matlab(p.with_suffix(".mat"), other=TRUTH), "no variable 'Position3DGrid'"),
        ("ibims-mat", lambda p: matlab(p.with_suffix(".mat"), data=TRUTH), "no field 'depth'"),
    ],
)  # fmt: skip
def test_what_is_of_another_encoding(tmp_path: Path, name: str, write: Any, words: str) -> None:
    path = write(tmp_path / "depth")
    with pytest.raises(DataError) as error:
        to_metres(read_stored(path, CODECS[name], size=(3, 4)), CODECS[name], path)
    assert words in str(error.value) and str(path) in str(error.value) and "\n" not in str(error.value)


def test_arrays_in_other_files_are_not_opened(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    hdf5(tmp_path / "own.h5", "depth", TRUTH)
    with h5py.File(tmp_path / "linked.h5", "w") as file:
        file["depth"] = h5py.ExternalLink("own.h5", "/depth")
    with pytest.raises(DataError, match="as a link, which is not followed"):
        read_stored(tmp_path / "linked.h5", CODECS["fastdepth"])


def test_an_unknown_name() -> None:
    with pytest.raises(ConfigError, match=r"depth encoding 'kiti' is unknown\. Did you mean 'kitti'"):
        find_codec("kiti")
