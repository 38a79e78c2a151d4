from __future__ import annotations

import http.client
import io
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
import typer
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from typer.testing import CliRunner

from kdcli import models
from kdcli.cli import demo as commands
from kdcli.colour import MAPS
from kdcli.demo import MOST_BYTES, MOST_SIDE, Answers, Server
from kdcli.demo.server import AT_ONCE
from kdcli.errors import ConfigError
from kdcli.types import DepthKind, Prediction


class _Brightness(nn.Module):
    """Depth = 1 + 8 * brightness; no opinion where that is above 8.5."""

    taps: ClassVar[dict[str, object]] = {}
    depth_range = (1.0, 9.0)

    def __init__(self, kind: DepthKind) -> None:
        super().__init__()
        self.depth_kind = kind

    def forward(self, image: Tensor) -> Prediction:
        if image.shape[-2:] == (3, 3):
            raise RuntimeError("too\nsmall")
        depth = 1 + 8 * image.mean(1, keepdim=True)
        return Prediction(depth=depth, kind=self.depth_kind, valid=depth < 8.5)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    models = {"runs/small": _Brightness(DepthKind.METRIC), "relative": _Brightness(DepthKind.AFFINE_DISPARITY)}
    made = Server(Answers(models, "cpu"))
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()


def _ask(
    server: Server, path: str, content: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    asked = {name.replace("_", "-"): value for name, value in headers.items()}
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    connection.request("GET" if content is None else "POST", path, body=content, headers=asked)
    answer = connection.getresponse()
    told = (answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    connection.close()
    return told


def _begun(server: Server, lines: str, content: str = "") -> socket.socket:
    """Send the beginning of a request, byte by byte as it stands."""
    line = socket.create_connection(("127.0.0.1", server.server_port), timeout=20)
    head = f"POST /depth?model=0 HTTP/1.1\r\nHost: 127.0.0.1:{server.server_port}\r\n{lines}\r\n\r\n"
    line.sendall((head + content).encode())
    return line


def _picture(height: int = 30, width: int = 40, form: str = "PNG", turned: int = 1) -> bytes:
    ramp = np.tile(np.linspace(0, 255, width), (height, 1)).astype(np.uint8)
    stream, tags = io.BytesIO(), Image.Exif()
    tags[0x0112] = turned
    Image.fromarray(np.stack([ramp] * 3, -1)).save(stream, form, exif=tags)
    return stream.getvalue()


def _read(content: bytes) -> tuple[dict[str, Any], NDArray[np.float32]]:
    (length,) = struct.unpack_from("<I", content)
    assert length % 4 == 0
    head = json.loads(content[4 : 4 + length])
    return head, np.frombuffer(content, "<f4", offset=4 + length).reshape(head["height"], head["width"])


def test_the_page_asks_nobody_else_for_anything(server: Server) -> None:
    for path, kind in (("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript"),
                       ("/colours.js", "text/javascript"), ("/cloud.js", "text/javascript")):
        status, headers, content = _ask(server, path)
        assert status == 200 and headers["content-type"].startswith(kind) and len(content) > 500
        assert b"http://" not in content and b"https://" not in content
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
    about = json.loads(_ask(server, "/about")[2])
    assert [one["name"] for one in about["models"]] == ["runs/small", "relative"]
    assert [one["points"] for one in about["models"]] == [True, False]
    assert tuple(about["maps"]) == MAPS and about["most_bytes"] == MOST_BYTES


def test_depth_of_a_picture_is_that_of_the_model(server: Server) -> None:
    status, headers, content = _ask(server, "/depth?model=0", _picture())
    head, depth = _read(content)
    assert status == 200 and headers["content-type"] == "application/octet-stream"
    wanted = 1 + 8 * (np.linspace(0, 255, 40).astype(np.uint8) / 255)
    wanted[wanted >= 8.5] = np.nan
    assert np.allclose(depth, np.tile(wanted.astype(np.float32), (30, 1)), atol=1e-5, equal_nan=True)
    assert head["ends"] == pytest.approx([1.0, np.nanmax(wanted)]) and head["seen"] == [30, 40]
    assert head["ends"][0] <= head["limits"][0] < head["limits"][1] <= head["ends"][1]
    assert _read(_ask(server, "/depth?model=0", _picture(form="JPEG", turned=6))[2])[1].shape == (40, 30)


def test_a_large_picture_is_made_smaller(server: Server) -> None:
    head, depth = _read(_ask(server, "/depth?model=1", _picture(600, 2048))[2])
    assert depth.shape == (300, MOST_SIDE) and head["seen"] == [300, MOST_SIDE]


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "[::1]:{port}", ""]
)
def test_another_host_gets_nothing(server: Server, host: str) -> None:
    for path, content in (("/", None), ("/about", None), ("/depth?model=0", _picture())):
        status, _, told = _ask(server, path, content, Host=host.format(port=server.server_port))
        assert status == 403 and "this machine alone" in json.loads(told)["error"]
    assert _ask(server, "/", Host=f"localhost:{server.server_port}")[0] == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
def test_another_page_gets_nothing(server: Server, origin: str) -> None:
    assert _ask(server, "/depth?model=0", _picture(), Origin=origin)[0] == 403
    assert _ask(server, "/depth?model=0", _picture(), Origin=server.address.rstrip("/"))[0] == 200


@pytest.mark.parametrize(
    "path",
    ["/../answers.py", "/page/../../answers.py", "/%2e%2e/answers.py", "//etc/passwd", "/etc/passwd", "/page.css/",
     "/index.html", "/depth", "/page.css%00", "C:/windows/win.ini"],
)
def test_no_path_leads_to_a_file(server: Server, path: str) -> None:
    status, _, told = _ask(server, path)
    assert status == 404 and json.loads(told) == {"error": "there is no such page"}


@pytest.mark.parametrize("path", ["/", "/depth?model=-1", "/depth?model=x", "/depth?model=99999999", "/depths"])
def test_nothing_else_takes_pictures(server: Server, path: str) -> None:
    assert _ask(server, path, _picture())[0] == 404


def test_what_is_no_picture_is_one_line(server: Server) -> None:
    for content, said in (
        (b"", "the file is empty"), (b"junk" * 99, "not an image"),
        (_picture(form="JPEG")[:-70], "truncated or broken"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    ):
        status, _, told = _ask(server, "/depth?model=0", content)
        line = json.loads(told)["error"]
        assert status == 400 and said in line and "/" not in line.replace("https://", "") and "\n" not in line
    assert "there is no model 7" in json.loads(_ask(server, "/depth?model=7", _picture())[2])["error"]
    status, _, told = _ask(server, "/depth?model=0", _picture(3, 3))
    assert status == 500 and json.loads(told)["error"] == "the model failed: too small"


def test_sizes_are_limited_before_anything_is_read(server: Server) -> None:
    for lines, status in (
        (f"Content-Length: {MOST_BYTES + 1}", 413), ("Content-Length: 9999999999999999999", 413),
        ("Content-Length: -1", 411), ("Content-Length: x", 411), ("Transfer-Encoding: chunked", 411), ("X: y", 411),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", 411),
    ):
        with _begun(server, lines) as line:
            answer = http.client.HTTPResponse(line)
            answer.begin()
            assert answer.status == status and answer.getheader("Connection") == "close"
            answer.read()
            assert line.recv(1) == b""  # what would have followed is not waited for


def test_pictures_that_never_come_do_not_pile_up(server: Server) -> None:
    open_ones: list[socket.socket] = []
    try:
        open_ones += [_begun(server, "Content-Length: 9", "1") for _ in range(AT_ONCE)]
        for _ in range(200):
            status = _ask(server, "/depth?model=0", _picture())[0]
            if status == 503:
                break
        assert status == 503
    finally:
        for one in open_ones:
            one.close()
    for _ in range(200):
        if _ask(server, "/depth?model=0", _picture())[0] == 200:
            return
    raise AssertionError("it stayed busy")


def test_it_is_bound_to_this_machine_and_a_taken_port_is_one_line(server: Server) -> None:
    assert server.server_address[0] == "127.0.0.1" and server.address == f"http://127.0.0.1:{server.server_port}/"
    with pytest.raises(ConfigError, match=f"port {server.server_port} cannot be had"):
        Server(Answers({"m": _Brightness(DepthKind.METRIC)}, "cpu"), server.server_port)


def test_the_command_says_where_and_ends_with_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "load_model", lambda spec, device: _Brightness(DepthKind.METRIC))
    served: list[Server] = []

    def serve(self: Server, poll_interval: float) -> None:
        served.append(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(Server, "serve_forever", serve)
    app = typer.Typer()
    commands.register(app)
    told = CliRunner().invoke(app, ["runs/a", "teacher:b", "--no-open", "--device", "cpu", "--json"])
    assert told.exit_code == 130 and "Ctrl-C ends it" in told.stderr
    assert json.loads(told.stdout) == {"address": served[0].address, "models": ["runs/a", "teacher:b"]}
    assert served[0].socket.fileno() == -1  # the port is free again
    told = CliRunner().invoke(app, ["runs/a", "runs/a", "--no-open"])
    assert isinstance(told.exception, ConfigError) and "named twice" in str(told.exception)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_ends_the_process(tmp_path: Path) -> None:
    from kdcli.plugins import registry
    from kdcli.students.files import save_student

    torch.manual_seed(0)
    spec = "mobilenet,width=0.35"
    save_student(tmp_path / "small.safetensors", registry.build("student", spec), spec, {})
    process = subprocess.Popen(
        [sys.executable, "-m", "kdcli", "demo", str(tmp_path / "small.safetensors"), "--no-open", "--device", "cpu"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        address = line.split()[0]
        assert line == f"{address} shows {tmp_path / 'small.safetensors'}\n"
        connection = http.client.HTTPConnection(address.split("/")[2], timeout=60)
        connection.request("POST", "/depth?model=0", body=_picture(64, 96))
        answer = connection.getresponse()
        assert answer.status == 200 and _read(answer.read())[1].shape == (64, 96)
        process.send_signal(signal.SIGINT)  # while the browser still holds its connection
        _, told = process.communicate(timeout=60)
        connection.close()
    finally:
        process.kill()
    assert process.returncode == 130 and told.splitlines()[-1] == "kdcli: interrupted" and "Traceback" not in told
