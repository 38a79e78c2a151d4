"""A file is read alike wherever it lies: in a folder, in a tar, as an array of a file of arrays."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kdcli.errors import DataError
from kdcli.images import image_size, read_depth, read_image, read_picture
from kdcli.rasters import Element, Member, file_of
from kdcli.sources.instances import read_instances
from kdcli.sources.validity import read_mask

DEPTH = np.arange(1, 13, dtype=np.float32).reshape(3, 4)


def packed(tmp_path: Path, *files: Path) -> dict[str, Member]:
    with tarfile.open(tmp_path / "all.tar", "w") as tar:
        for file in files:
            tar.add(file, f"./{file.name}")
    with tarfile.open(tmp_path / "all.tar") as tar:
        return {
            Path(info.name).name: Member(tmp_path / "all.tar", info.name, info.offset_data, info.size) for info in tar
        }


def test_members_of_a_tar(tmp_path: Path) -> None:
    files = []
    colours = np.random.default_rng(0).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    for name, pixels in (("a.png", colours), ("a.jpg", colours), ("a.tif", DEPTH), ("d.png", DEPTH.astype(np.uint16))):
        Image.fromarray(pixels).save(tmp_path / name)
        files.append(tmp_path / name)
    (tmp_path / "d.pgm").write_bytes(b"P5 4 3 65535\n" + DEPTH.astype(">u2").tobytes())
    np.save(tmp_path / "d.npy", DEPTH)
    np.savez_compressed(tmp_path / "d.npz", depth=DEPTH)
    files += [tmp_path / name for name in ("d.pgm", "d.npy", "d.npz")]
    found = packed(tmp_path, *files)
    for name in ("a.png", "a.jpg"):
        assert (read_image(found[name]) == read_image(tmp_path / name)).all() and image_size(found[name]) == (6, 8)
    for name in ("a.tif", "d.png", "d.pgm", "d.npy", "d.npz"):
        for one, other in zip(read_depth(found[name]), read_depth(tmp_path / name), strict=True):
            assert (one == other).all()
    assert (read_instances(found["d.png"]) == read_instances(tmp_path / "d.png")).all()
    assert (read_mask(found["d.npy"], (3, 4), found["d.npy"])).all()


def test_what_a_tar_lacks(tmp_path: Path) -> None:
    Image.fromarray(DEPTH.astype(np.uint16)).save(tmp_path / "d.png")
    member = packed(tmp_path, tmp_path / "d.png")["d.png"]
    content = member.archive.read_bytes()
    member.archive.write_bytes(content[: member.offset + 20])
    with pytest.raises(DataError, match=r"all\.tar:\./d\.png' is truncated: the archive ends within it"):
        read_depth(member)
    with pytest.raises(DataError, match=r"'.*gone\.tar' does not exist"):
        read_depth(Member(tmp_path / "gone.tar", "./d.png", 0, 10))
    assert file_of(member) == member.archive and (member.name, member.stem, member.suffix) == ("d.png", "d", ".png")


def test_arrays_of_a_file(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    colours = np.random.default_rng(0).integers(0, 255, (2, 3, 4, 6), dtype=np.uint8)  # N x channels x width x height
    depths = np.random.default_rng(1).uniform(1, 5, (2, 4, 6)).astype(np.float32)
    path = tmp_path / "all.mat"
    with h5py.File(path, "w", userblock_size=512) as file:  # as MATLAB 7.3 does
        file["images"], file["depths"] = colours, depths
    for i in range(2):
        picture = read_picture(Element(path, "images", i, transposed=True)).image.numpy()
        np.testing.assert_array_equal(picture, colours[i].swapaxes(1, 2).astype(np.float32) / np.float32(255))
        depth, valid = read_depth(Element(path, "depths", i, transposed=True))
        assert depth.shape == (1, 6, 4) and valid.all()
        np.testing.assert_array_equal(depth[0].numpy(), depths[i].T)
    for place, words in (
        (Element(path, "depths", 2), "'depths' has 2 items"),
        (Element(path, "rawDepths", 0), "no array 'rawDepths' (it has: depths, images)"),
        (Element(path, "images", 0), "of shape 3x4x6, not one map of numbers"),
    ):
        with pytest.raises(DataError) as error:
            read_depth(place)
        assert words in str(error.value)


def test_a_package_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    def none(name: str, *_: Any) -> Any:
        raise ImportError(name)

    (tmp_path / "a.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 100)
    monkeypatch.setattr(importlib, "import_module", none)
    with pytest.raises(DataError, match=r"a\.h5' is an HDF5 file, which the package h5py reads; run pip install"):
        read_depth(tmp_path / "a.h5")
