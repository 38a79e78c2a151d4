from __future__ import annotations

import hashlib
import importlib
import io
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import Request

import pytest

from kdcli.errors import WeightsError
from kdcli.weights import Entry, entries, pull
from kdcli.weights.fetch import _Redirects

Server = tuple[str, Any]

CONTENT = bytes(range(256)) * 8000


def _entry(url: str | None, **changes: object) -> Entry:
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    known = Entry(name="net", file="net.bin", url=url, page="https://example.org", how="ask", sha256=sha256)
    return replace(known, **changes)  # type: ignore[arg-type]


def _error(wanted: Entry, folder: Path, **options: float) -> str:
    with pytest.raises(WeightsError) as caught:
        pull(wanted, folder, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_arrives_whole_and_is_not_fetched_twice(server: Server, tmp_path: Path) -> None:
    address, handler = server
    told: list[tuple[int, int | None]] = []
    path = pull(_entry(f"{address}/ok"), tmp_path / "deep", progress=lambda done, total: told.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert pull(_entry(f"{address}/ok"), tmp_path / "deep") == path
    assert len(handler.ranges) == 1
    assert [p.name for p in path.parent.iterdir()] == ["net.bin"]


def test_a_download_that_stops_goes_on(server: Server, tmp_path: Path) -> None:
    address, handler = server
    assert "stopped at" in _error(_entry(f"{address}/cut"), tmp_path)
    part = tmp_path / "net.bin.part"
    half = part.stat().st_size
    assert half == len(CONTENT) // 2
    assert pull(_entry(f"{address}/ok"), tmp_path).read_bytes() == CONTENT
    assert handler.ranges == [None, f"bytes={half}-"]


def test_a_file_that_changed_meanwhile_is_fetched_from_its_start(server: Server, tmp_path: Path) -> None:
    address, handler = server
    _error(_entry(f"{address}/cut"), tmp_path)
    handler.content, handler.etag = b"another" * 1000, '"two"'
    wanted = _entry(f"{address}/ok", sha256=hashlib.sha256(handler.content).hexdigest())
    assert pull(wanted, tmp_path).read_bytes() == handler.content


def test_a_complete_part_is_taken_as_it_is(server: Server, tmp_path: Path) -> None:
    (tmp_path / "net.bin.part").write_bytes(CONTENT)
    (tmp_path / "net.bin.part.etag").write_text('"one"')
    assert pull(_entry(f"{server[0]}/ok"), tmp_path).read_bytes() == CONTENT


def test_a_wrong_hash_leaves_nothing(server: Server, tmp_path: Path) -> None:
    assert "sha256" in _error(_entry(f"{server[0]}/ok", sha256="0" * 64), tmp_path)
    assert not (tmp_path / "net.bin").exists() and not (tmp_path / "net.bin.part").exists()
    assert "expected 5" in _error(_entry(f"{server[0]}/ok", sha256=None, size=5), tmp_path)


def test_a_damaged_file_that_is_there_is_reported_and_kept(tmp_path: Path) -> None:
    (tmp_path / "net.bin").write_bytes(b"mine")
    assert "delete" in _error(_entry("http://127.0.0.1:9/x"), tmp_path)
    assert (tmp_path / "net.bin").read_bytes() == b"mine"


def test_servers_that_refuse(server: Server, tmp_path: Path) -> None:
    for path in ("missing", "forbidden", "page", "login", "html"):
        message = _error(_entry(f"{server[0]}/{path}"), tmp_path)
        assert "get net.bin from https://example.org (ask) and put it in" in message
    assert "404" in _error(_entry(f"{server[0]}/missing"), tmp_path)
    assert "web page" in _error(_entry(f"{server[0]}/page"), tmp_path)
    assert "cannot be read" in _error(_entry("http://127.0.0.1:9/nobody"), tmp_path, timeout=1.0)
    assert "by hand" in _error(_entry(f"{server[0]}/missing", page=None), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["fault", "busy"])
def test_a_fault_that_may_pass_says_try_again_and_keeps_the_part(server: Server, tmp_path: Path, path: str) -> None:
    _error(_entry(f"{server[0]}/cut"), tmp_path)
    message = _error(_entry(f"{server[0]}/{path}"), tmp_path)
    assert "may pass; run `kdcli weights pull net` again later" in message and "https://example.org" in message
    assert (tmp_path / "net.bin.part").stat().st_size == len(CONTENT) // 2


def test_redirects_are_followed(server: Server, tmp_path: Path) -> None:
    for path in ("moved", "found"):
        assert pull(_entry(f"{server[0]}/{path}"), tmp_path / path).read_bytes() == CONTENT
    assert server[1].asked == ["/moved", "/ok", "/found", "/ok"]


def test_redirects_that_lead_nowhere(server: Server, tmp_path: Path) -> None:
    assert "without end" in _error(_entry(f"{server[0]}/loop"), tmp_path)
    login = _error(_entry(f"{server[0]}/login"), tmp_path)
    assert f"{server[0]}/page answered with a web page" in login and "secret" not in login
    # A login page may also call itself a file.
    assert "web page" in _error(_entry(f"{server[0]}/html", sha256=None), tmp_path)
    assert "not followed" in _error(_entry(f"{server[0]}/file"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_encrypted_address_is_not_left_for_a_plain_one() -> None:
    redirects, asked = _Redirects(_entry(None)), Request("https://example.org/net")
    with pytest.raises(WeightsError, match=r"redirects to http://example\.org, which is not encrypted") as caught:
        redirects.redirect_request(asked, None, 302, "Found", {}, "http://example.org/net")
    assert "\n" not in str(caught.value)
    followed = redirects.redirect_request(asked, None, 302, "Found", {}, "https://example.org/other")
    assert followed is not None and followed.full_url == "https://example.org/other"


def test_a_server_that_trickles_is_waited_for(server: Server, tmp_path: Path) -> None:
    told: list[int] = []
    # All of it takes longer than the timeout, which is for a single silence.
    path = pull(_entry(f"{server[0]}/trickle"), tmp_path, timeout=1.0, progress=lambda done, _: told.append(done))
    assert path.read_bytes() == CONTENT
    assert len(told) >= 8 and told == sorted(told)


def test_a_server_that_stalls_is_left_and_resumed(server: Server, tmp_path: Path) -> None:
    assert "timed out" in _error(_entry(f"{server[0]}/slow"), tmp_path, timeout=0.1)
    message = _error(_entry(f"{server[0]}/stall"), tmp_path, timeout=1.0)
    half = len(CONTENT) // 2
    assert f"after {half} bytes" in message and "again to go on" in message
    assert pull(_entry(f"{server[0]}/ok"), tmp_path).read_bytes() == CONTENT
    assert server[1].ranges[-1] == f"bytes={half}-"


def test_without_a_tag_a_download_begins_anew(server: Server, tmp_path: Path) -> None:
    (tmp_path / "net.bin.part").write_bytes(b"what is this")
    assert pull(_entry(f"{server[0]}/untagged"), tmp_path).read_bytes() == CONTENT
    assert server[1].ranges == [None]


def test_a_cut_that_no_length_tells_is_found_by_the_hash(server: Server, tmp_path: Path) -> None:
    assert "not what it should be" in _error(_entry(f"{server[0]}/endless"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_says_so(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as full:
        full.setattr("kdcli.weights.fetch.shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000}))
        assert "1000 bytes free" in _error(_entry(f"{server[0]}/ok"), tmp_path)
    (tmp_path / "net.bin.part").symlink_to("/dev/full")
    message = _error(_entry(f"{server[0]}/ok"), tmp_path)
    assert "No space left" in message and "KDCLI_WEIGHTS" in message


def _archive(files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def test_of_an_archive_only_the_file_is_kept(server: Server, tmp_path: Path) -> None:
    address, handler = server
    handler.content = _archive({"net/": b"", "net/notes.txt": b"no", "net/model": CONTENT, "net/submodel": b"no"})
    wanted = _entry(f"{address}/ok/net.zip?x=1", member="model", size=len(CONTENT))
    assert pull(wanted, tmp_path).read_bytes() == CONTENT
    assert [p.name for p in tmp_path.iterdir()] == ["net.bin"]


def test_an_archive_that_was_brought_is_used_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDCLI_OFFLINE", "1")
    (tmp_path / "net.zip").write_bytes(_archive({"a/model": CONTENT}, zipfile.ZIP_DEFLATED))
    assert pull(_entry("http://127.0.0.1:9/net.zip", member="model"), tmp_path).read_bytes() == CONTENT
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.bin", "net.zip"]


def test_archives_that_do_not_hold_the_file(tmp_path: Path) -> None:
    wanted = _entry("http://127.0.0.1:9/net.zip", member="model")
    sound, archive = _archive({"a/model": CONTENT}), tmp_path / "net.zip"
    damaged = bytearray(sound)
    damaged[1000] ^= 1
    for content, piece in (
        (_archive({"../../model.txt": b"x"}), "holds 0 files 'model' and not one (it holds: ../../model.txt)"),
        (_archive({"a/model": b"x", "b/model": b"y"}), "holds 2 files 'model'"),
        (_archive({"../model": b"other"}), "sha256"), (b"<html>", "cannot be read"), (sound[:5000], "cannot be read"),
        (bytes(damaged), "cannot be read"),
    ):
        archive.write_bytes(content)
        assert piece in _error(wanted, tmp_path)
        assert [p.name for p in tmp_path.iterdir()] == ["net.zip"]
    assert not (tmp_path.parent / "model").exists()


def test_no_more_bytes_than_the_table_knows(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither announced ones nor those that come without a word, of which one too many is enough."""
    told: list[int] = []
    wanted = _entry(f"{server[0]}/endless", size=1000, sha256=None)
    with pytest.raises(WeightsError, match="more than 1000 bytes") as caught:
        pull(wanted, tmp_path, progress=lambda done, _: told.append(done))
    assert "\n" not in str(caught.value) and max(told, default=0) <= 1000
    assert f"has {len(CONTENT)} bytes there, expected 1000;" in _error(replace(wanted, url=f"{server[0]}/ok"), tmp_path)
    monkeypatch.setattr("kdcli.weights.fetch.MOST", 1000)
    assert "more than 1000 bytes" in _error(replace(wanted, size=None), tmp_path)
    assert "expected at most 1000" in _error(replace(wanted, size=None, url=f"{server[0]}/ok"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_another_part_than_was_asked_for_is_not_glued_on(server: Server, tmp_path: Path) -> None:
    _error(_entry(f"{server[0]}/cut"), tmp_path)
    assert "another part" in _error(_entry(f"{server[0]}/shifted"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_tag_means_to_begin_anew(server: Server, tmp_path: Path) -> None:
    for tag in (b"\xff\xfe", b"", b'"a"\r\nX: "b"', b'W/"one"'):
        (tmp_path / "net.bin.part").write_bytes(b"what is this")
        (tmp_path / "net.bin.part.etag").write_bytes(tag)
        assert pull(_entry(f"{server[0]}/ok"), tmp_path).read_bytes() == CONTENT
        (tmp_path / "net.bin").unlink()
    assert server[1].ranges == [None] * 4


def test_an_address_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KDCLI_OFFLINE", raising=False)
    for address in ("nowhere", "http://[", "https://a b/", "ftp2://x/y"):
        assert "cannot be read" in _error(_entry(address), tmp_path, timeout=1.0)


def test_a_member_is_not_unpacked_to_more_than_it_should_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = _entry("http://127.0.0.1:9/net.zip", member="model", sha256=None)
    (tmp_path / "net.zip").write_bytes(_archive({"a/model": bytes(1_000_000)}, zipfile.ZIP_DEFLATED))
    monkeypatch.setattr("shutil.copyfileobj", lambda *_: pytest.fail("unpacked"))
    assert "1000000 bytes in" in _error(replace(wanted, size=999), tmp_path)
    monkeypatch.setattr(importlib.import_module("kdcli.weights.pull"), "_SPARE", 0)  # the package has a function so
    assert "would unpack to 1000000 bytes, more than 20 times" in _error(wanted, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["net.zip"]


def test_the_hub_can_be_elsewhere(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = entries()["resnet18-imagenet"]
    assert known.address == "https://huggingface.co/timm/resnet18.a1_in1k/resolve/main/model.safetensors"
    monkeypatch.setenv("HF_ENDPOINT", f"{server[0]}/")
    assert pull(known, tmp_path).read_bytes() == CONTENT
    assert server[1].asked == ["/timm/resnet18.a1_in1k/resolve/main/model.safetensors"]


def test_offline_and_without_address(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "https://example.org" in _error(_entry(None), tmp_path)
    monkeypatch.setenv("KDCLI_OFFLINE", "1")
    assert "KDCLI_OFFLINE" in _error(_entry(f"{server[0]}/ok"), tmp_path)
    assert server[1].ranges == []
