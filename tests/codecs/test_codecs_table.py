"""Every row of the table gives back the depth that went in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from codec_files import CAMERA, RIG, ROUGH, TRUTH, array, hdf5, matlab, pfm, png, write

from kdcli.codecs import CODECS, find_codec
from kdcli.errors import ConfigError, DataError
from kdcli.images import read_stored, to_metres


@pytest.mark.parametrize("name", CODECS)
def test_what_went_in_comes_out(tmp_path: Path, name: str) -> None:
    codec = find_codec(name)
    path = write(tmp_path / "depth", name)
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
@pytest.mark.parametrize("size", ["1.0", "0.003922"])  # that of Middlebury, by which OpenCV divides
def test_a_float_map_has_its_first_row_last(tmp_path: Path, order: str, size: str) -> None:
    path = pfm(tmp_path / "a.pfm", np.array([[1, 2], [3, 4], [5, 6]], np.float32), order, size)
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
