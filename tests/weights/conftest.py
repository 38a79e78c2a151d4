from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

CONTENT = bytes(range(256)) * 8000
TRICKLE = 0.15
"""Seconds between the eight parts of what trickles."""


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT, whole or from a byte on; paths choose how it misbehaves."""

    ranges: ClassVar[list[str | None]]
    asked: ClassVar[list[str]]
    content = CONTENT
    etag = '"one"'
    over: ClassVar[threading.Event]
    """Set when the test is over: until then a server that stalls says nothing."""

    REDIRECTS: ClassVar[dict[str, tuple[int, str]]] = {
        "/moved": (301, "/ok"), "/found": (302, "/ok"), "/login": (302, "/page?token=secret"),
        "/loop": (302, "/pool"), "/pool": (302, "/loop"), "/file": (302, "file:///etc/hostname"),
    }
    ERRORS: ClassVar[dict[str, int]] = {"/missing": 404, "/forbidden": 403, "/fault": 500, "/busy": 503}

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.ranges.append(asked)
        self.asked.append(self.path)
        self.close_connection = True
        path = self.path.partition("?")[0]
        if path in self.ERRORS:
            return self.send_error(self.ERRORS[path])
        if path in self.REDIRECTS:
            code, where = self.REDIRECTS[path]
            self.send_response(code)
            self.send_header("Location", where)
            self.send_header("Content-Length", "0")
            return self.end_headers()
        if path == "/slow":
            self.over.wait()
            return None
        same = asked is not None and self.headers["If-Range"] == self.etag
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and same else 0
        if start >= len(self.content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(self.content)}")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        body = b"\n<!DOCTYPE html><title>Sign in</title>" if path == "/html" else self.content[start:]
        self.send_response(206 if start else 200)
        if path != "/endless":
            self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "text/html" if path == "/page" else "application/octet-stream")
        if path not in ("/untagged", "/endless"):
            self.send_header("ETag", self.etag)
        self.end_headers()
        self._send(path, body)
        return None

    def _send(self, path: str, body: bytes) -> None:
        half = len(body) // 2
        if path == "/trickle":
            for begin in range(0, len(body), len(body) // 8):
                self.wfile.write(body[begin : begin + len(body) // 8])
                time.sleep(TRICKLE)
        elif path == "/stall":
            self.wfile.write(body[:half])
            self.wfile.flush()
            self.over.wait()
        else:
            # A server that dies half way: fewer bytes than announced, then the connection is closed.
            self.wfile.write(body[:half] if path in ("/cut", "/endless") else body)

    def log_message(self, format: str, *args: object) -> None:
        pass


Server = tuple[str, type[Handler]]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.delenv("KDCLI_OFFLINE", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    handler = type("Handler", (Handler,), {"ranges": [], "asked": [], "over": threading.Event()})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        http.daemon_threads = True
        http.handle_error = lambda *_: None  # type: ignore[method-assign]
        http.block_on_close = False
        threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}", handler
        handler.over.set()  # type: ignore[attr-defined]
        http.shutdown()
