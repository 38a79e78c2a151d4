from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kdcli.errors import WeightsError
from kdcli.weights import Entry, pull

CONTENT = bytes(range(256)) * 8000


class _Handler(BaseHTTPRequestHandler):
    """Serves CONTENT, whole or from a byte on; paths choose how it misbehaves."""

    ranges: list[str | None]
    content = CONTENT
    etag = '"one"'

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        type(self).ranges.append(asked)
        if self.path == "/missing":
            return self.send_error(404)
        if self.path == "/slow":
            time.sleep(1.0)
            return None
        same = asked is not None and self.headers["If-Range"] == self.etag
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and same else 0
        if start >= len(self.content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(self.content)}")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(self.content) - start))
        self.send_header("Content-Type", "text/html" if self.path == "/page" else "application/octet-stream")
        self.send_header("ETag", self.etag)
        self.end_headers()
        body = self.content[start:]
        # A server that dies half way: fewer bytes than announced, then the connection is closed.
        self.wfile.write(body[: len(body) // 2] if self.path == "/cut" else body)
        self.close_connection = True
        return None

    def log_message(self, format: str, *args: object) -> None:
        pass


Server = tuple[str, type[_Handler]]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, type[_Handler]]]:
    monkeypatch.delenv("KDCLI_OFFLINE", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    handler = type("Handler", (_Handler,), {"ranges": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}", handler
        http.shutdown()


def _entry(url: str | None, **changes: object) -> Entry:
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    known = Entry(name="net", file="net.bin", url=url, page="https://example.org", sha256=sha256)
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
    assert "404" in _error(_entry(f"{server[0]}/missing"), tmp_path)
    assert "web page" in _error(_entry(f"{server[0]}/page"), tmp_path)
    assert "timed out" in _error(_entry(f"{server[0]}/slow"), tmp_path, timeout=0.1)
    assert "cannot be read" in _error(_entry("http://127.0.0.1:9/nobody"), tmp_path, timeout=1.0)


def test_offline_and_without_address(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "https://example.org" in _error(_entry(None), tmp_path)
    monkeypatch.setenv("KDCLI_OFFLINE", "1")
    assert "KDCLI_OFFLINE" in _error(_entry(f"{server[0]}/ok"), tmp_path)
    assert server[1].ranges == []
