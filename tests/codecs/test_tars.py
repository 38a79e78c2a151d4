"""Members of an uncompressed tar are found by name without unpacking."""

from __future__ import annotations

import io
import pickle
import tarfile
from pathlib import Path

import pytest

from kdcli.errors import DataError
from kdcli.rasters import open_place
from kdcli.rasters.tars import tar_index


def write(path: Path, files: dict[str, bytes], mode: str = "w") -> None:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def test_each_member_is_found(tmp_path: Path) -> None:
    deep = "a/" * 70 + "deep.png"  # longer than the header of a member has room for
    files = {f"./room/{i}.png": bytes([i % 256]) * (i + 1) for i in range(300)} | {deep: b"deep", "./last": b"x"}
    write(tmp_path / "all.tar", files)
    with tarfile.open(tmp_path / "all.tar", "a") as tar:
        link = tarfile.TarInfo("same.png")
        link.type, link.linkname = tarfile.LNKTYPE, "./room/7.png"
        tar.addfile(link)
        folder = tarfile.TarInfo("room")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
    index = tar_index(tmp_path / "all.tar")
    assert len(index) == len(files) + 1 and index.find("room") is None and index.find("room/300.png") is None
    files["same.png"] = files["./room/7.png"]
    for found in (index, pickle.loads(pickle.dumps(index))):
        for name, content in files.items():
            for asked in (name, name.removeprefix("./")):
                member = found.find(asked)
                assert member is not None and open_place(member).read() == content, asked
    assert str(index.find("room/3.png")) == f"{tmp_path / 'all.tar'}:room/3.png"


def test_it_is_read_once_and_again_when_it_changed(tmp_path: Path) -> None:
    path = tmp_path / "all.tar"
    write(path, {"a": b"1"})
    first = tar_index(path)
    assert tar_index(path) is first
    write(path, {"a": b"1", "b": b"2" * 20000})
    assert len(tar_index(path)) == 2


def test_what_is_no_plain_tar_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "all.tar"
    write(path, {"a": b"1" * 5000}, "w:gz")
    with pytest.raises(DataError, match=r"all\.tar' is a compressed tar, .* gzip -d"):
        tar_index(path)
    path.write_bytes(b"no tar at all" * 100)
    with pytest.raises(DataError, match=r"all\.tar' is no tar or ends within a member"):
        tar_index(path)
    write(path, {"a": b"1" * 5000, "b": b"2" * 5000})
    whole = path.read_bytes()
    for length, where in ((3000, "a member"), (6000, "the header of a member"), (9000, "a member")):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=rf"all\.tar' .*ends within {where}"):
            tar_index(path)
    with pytest.raises(DataError, match=r"gone\.tar' does not exist"):
        tar_index(tmp_path / "gone.tar")
