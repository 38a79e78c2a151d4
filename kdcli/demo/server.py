"""The page's server: this machine alone, a fixed list of files, and pictures up to a size.

A page of somebody else that runs in the same browser must get nothing out of it: requests that name another host (DNS
rebinding) or come from another origin are refused, and nothing in a request is ever a path.
"""

from __future__ import annotations

import errno
import json
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from kdcli.demo.answers import MOST_BYTES, Answers
from kdcli.errors import ConfigError, KdcliError

ADDRESS = "127.0.0.1"
PATIENCE = 30.0
"""Seconds that a connection may be silent."""
AT_ONCE = 4
"""Pictures that are held at a time."""

_PAGE = Path(__file__).with_name("page")
_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/colours.js": ("colours.js", "text/javascript; charset=utf-8"),
    "/cloud.js": ("cloud.js", "text/javascript; charset=utf-8"),
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
                               "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
}  # fmt: skip


class Server(ThreadingHTTPServer):
    """Serves the page at ``address`` until it is shut down. port: 0 for one that is free.

    Raises:
        ConfigError: another program has the port.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, answers: Answers, port: int = 0) -> None:
        self.answers, self.room = answers, threading.BoundedSemaphore(AT_ONCE)
        try:
            super().__init__((ADDRESS, port), _Handler)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            raise ConfigError(f"port {port} cannot be had ({error.strerror}); leave out --port") from None
        self.hosts = {f"{name}:{self.server_port}" for name in (ADDRESS, "localhost")}

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://{ADDRESS}:{self.server_port}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a browser that went away."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version, timeout = "HTTP/1.1", PATIENCE
    server_version, sys_version = "kdcli", ""
    server: Server

    def do_GET(self) -> None:
        self._guarded(self._get)

    def do_HEAD(self) -> None:
        self._guarded(self._get)

    def do_POST(self) -> None:
        self._guarded(self._post)

    def log_message(self, *words: Any) -> None:
        """Say nothing: the terminal belongs to whoever started it."""

    def _guarded(self, answer: Callable[[], None]) -> None:
        origin = self.headers.get("Origin")
        if self.headers.get("Host", "").lower() not in self.server.hosts:
            self._refuse(HTTPStatus.FORBIDDEN, "this page is for this machine alone")
        elif origin is not None and origin.lower() not in {f"http://{host}" for host in self.server.hosts}:
            self._refuse(HTTPStatus.FORBIDDEN, "this page is not for others")
        else:
            answer()

    def _get(self) -> None:
        path = urlsplit(self.path).path
        if path == "/about":
            self._send(HTTPStatus.OK, "application/json", json.dumps(self.server.answers.about()).encode("ascii"))
        elif path in _FILES:
            name, kind = _FILES[path]
            self._send(HTTPStatus.OK, kind, (_PAGE / name).read_bytes())
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")

    def _post(self) -> None:
        url = urlsplit(self.path)
        number = parse_qs(url.query).get("model", ["0"])[0]
        length = self.headers.get("Content-Length", "")
        if url.path != "/depth" or not (number.isascii() and number.isdigit() and len(number) < 6):
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")
        elif not (length.isascii() and length.isdigit()) or "Transfer-Encoding" in self.headers:
            self._refuse(HTTPStatus.LENGTH_REQUIRED, "say how long the picture is")
        elif len(length) > 12 or int(length) > MOST_BYTES:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                         f"the file has more than {MOST_BYTES >> 20} MB; choose a smaller one")  # fmt: skip
        elif not self.server.room.acquire(blocking=False):
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "busy with other pictures; try again")
        else:
            try:
                content = self.rfile.read(int(length))
                if len(content) == int(length):
                    self._answer(content, int(number))
                else:
                    self.close_connection = True
            finally:
                self.server.room.release()

    def _answer(self, content: bytes, number: int) -> None:
        try:
            answer = self.server.answers.depth(content, number)
        except KdcliError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error), close=False)
        except Exception as error:  # of a model or for want of memory: the page says it, and goes on
            words = " ".join(str(error).split())[:200] or type(error).__name__
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, f"the model failed: {words}", close=False)
        else:
            self._send(HTTPStatus.OK, "application/octet-stream", answer)

    def _refuse(self, status: HTTPStatus, why: str, *, close: bool = True) -> None:
        """Answer with a reason. close: what the request goes on with is not read."""
        self.close_connection = self.close_connection or close
        self._send(status, "application/json", json.dumps({"error": why}).encode("ascii"))

    def _send(self, status: HTTPStatus, kind: str, content: bytes) -> None:
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
