"""Where files lie in a tar is found in one pass, kept, and found again once the tar has changed."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
import shard_makers as makers

from kdcli.errors import DataError
from kdcli.sources.shards import headers as module
from kdcli.sources.shards.headers import Headers, read_headers
from kdcli.sources.shards.source import WdsSource


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KDCLI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "_FEW", 2)
    return tmp_path / "cache" / "shards"


def read(headers: Headers, archive: Path) -> dict[str, bytes]:
    content = archive.read_bytes()
    places = zip(headers.names, headers.offsets, headers.sizes, strict=True)
    return {name: content[offset : offset + size] for name, offset, size in places}


def test_bytes_lie_where_headers_say(tmp_path: Path) -> None:
    files = {"a.txt": b"one", "folder/" + "n" * 120 + ".bin": b"2" * 1500, "empty.txt": b"", "b.txt": b"four"}
    archive = makers.shard(tmp_path / "a.tar", files)
    with tarfile.open(archive, "a") as tar:
        odd = tarfile.TarInfo("odd")
        odd.pax_headers = {"path": "a\0b.jpg"}
        tar.addfile(odd)
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "a.txt"
        tar.addfile(link)
    assert read(read_headers(archive), archive) == files


def test_what_was_kept_is_used_until_the_tar_changes(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = makers.shard(tmp_path / "a.tar", {f"{n}.txt": bytes([n]) for n in range(5)})
    first = read_headers(archive)
    kept = list(cache.iterdir())
    assert len(kept) == 1
    scan = module._scan
    monkeypatch.setattr(module, "_scan", lambda path: pytest.fail("headers were read again"))
    again = read_headers(archive)
    assert (again.names, list(again.offsets), list(again.sizes)) == (
        first.names, list(first.offsets), list(first.sizes)
    )  # fmt: skip
    monkeypatch.setattr(module, "_scan", scan)
    makers.shard(archive, {f"{n}.text": b"longer" * n for n in range(7)})
    assert len(read_headers(archive).names) == 7
    kept[0].write_bytes(b"damaged")
    assert len(read_headers(archive).names) == 7


def test_a_cache_that_cannot_be_written_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KDCLI_CACHE", str(tmp_path / "file" / "below"))
    archive = makers.shard(tmp_path / "a.tar", {f"{n}.txt": b"x" for n in range(5)})
    assert len(read_headers(archive).names) == 5


def test_archives_that_are_no_plain_tar(tmp_path: Path) -> None:
    packed = makers.shard(tmp_path / "a.tar", {"0.jpg": makers.photo(0)}, "w:gz")
    with pytest.raises(DataError, match=r"a\.tar' is a compressed tar, .* to have it as a plain tar"):
        WdsSource(location=str(packed))
    (tmp_path / "b.tar").write_bytes(b"no tar at all" * 100)
    with pytest.raises(DataError, match=r"b\.tar' is no tar or ends within a member"):
        WdsSource(location=f"{tmp_path}/b.tar")
    whole = makers.shard(tmp_path / "c.tar", {"0.jpg": makers.photo(0), "1.jpg": makers.photo(1) * 9}).read_bytes()
    (tmp_path / "c.tar").write_bytes(whole[: len(makers.photo(0)) + 2000])
    with pytest.raises(DataError, match=r"c\.tar' is no tar or ends within a member"):
        WdsSource(location=f"{tmp_path}/c.tar")
    first = tmp_path / "f.tar"
    first.write_bytes(whole[: 1024 + -(-len(makers.photo(0)) // 512) * 512 - 300])
    with pytest.raises(DataError, match=r"f\.tar' ends within the header of a member"):
        WdsSource(location=str(first))
    (tmp_path / "d.tar").write_bytes(b"")
    with pytest.raises(DataError, match=r"d\.tar' is empty"):
        WdsSource(location=f"{tmp_path}/d.tar")
    makers.shard(tmp_path / "e.tar", {})
    with pytest.raises(DataError, match=r"no file in .* is an image by its name; there are none"):
        WdsSource(location=f"{tmp_path}/e.tar")
