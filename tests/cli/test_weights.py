"""``kdcli weights``: what is printed where, exit codes, and a released network from its file to its depth."""

from __future__ import annotations

import argparse
import hashlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from torch import nn

import kdcli
from kdcli.cli import app
from kdcli.plugins import registry
from kdcli.weights import entries, read_metadata

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Run]:
    """Run the command line in this process, in a folder of its own, with the weights in ``own`` below it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KDCLI_OFFLINE", "1")
    monkeypatch.setenv("KDCLI_WEIGHTS", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def call(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["kdcli", *map(str, args)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as stopped:
            app.main()
        out, err = capfd.readouterr()
        code = stopped.value.code
        return (code if isinstance(code, int) else 0), out, err

    yield call
    for number, handler in before.items():
        signal.signal(number, handler)


def _refused(answer: tuple[int, str, str], code: int, *words: str) -> None:
    got, out, err = answer
    lines = [line for line in err.splitlines() if line.startswith("kdcli: ")]
    assert got == code and out == "" and len(lines) == 1 and lines[0] == err.splitlines()[-1], err
    for word in words:
        assert word in lines[0], lines[0]


def test_list_shows_terms_and_where(run: Run) -> None:
    code, out, err = run("weights", "list", "--json")
    listed = {item["name"]: item for item in json.loads(out)}
    assert code == 0 and err == "" and set(listed) == set(entries())
    assert listed["bts-resnet50-nyu"]["licence"] == "GPL-3.0-or-later" and listed["bts-resnet50-nyu"]["path"] is None
    lines = {line.split()[0]: line for line in run("weights", "list")[1].splitlines()}
    assert "NYU Depth v2" in lines["fcrn-resnet18-nyu"] and lines["fcrn-resnet18-nyu"].endswith("not released")
    assert lines["midas-small"].endswith("pull") and "MIT" in lines["midas-small"]
    assert lines["adabins-nyu"].endswith("https://github.com/shariqfarooq123/AdaBins")


def test_weights_that_are_not_here(run: Run, tmp_path: Path) -> None:
    _refused(run("weights", "where", "midas-small"), 4, "kdcli weights pull midas-small", str(tmp_path / "own"))
    _refused(run("weights", "where", "tie-kd-resnet18-nyu"), 4, "github.com/HPC-Lab-KOREATECH/TIE-KD", "SharePoint")
    _refused(run("weights", "where", "midas-smal"), 4, "Did you mean 'midas-small'?")
    _refused(run("weights", "pull", "midas-small"), 4, "KDCLI_OFFLINE")
    _refused(run("weights", "pull", "nobody"), 4, "are not known")


def test_a_teacher_whose_weights_were_never_released(run: Run) -> None:
    answer = run("eval", "teacher:fcrn,backbone=resnet18", "--data", "sim:rooms,count=1")
    _refused(answer, 4, "fcrn-resnet18-nyu", "released none", "--recipe supervised --student fcrn,backbone=resnet18")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[bytes]:
    """A hub that holds one file."""
    content = b"weights" * 1000

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as http:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{http.server_port}")
        threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield content
        http.shutdown()


def test_pull_shows_the_licence_first(run: Run, hub: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KDCLI_OFFLINE")
    code, out, err = run("weights", "pull", "resnet18-imagenet")
    path = tmp_path / "own" / "resnet18.a1_in1k.safetensors"
    assert code == 0 and out.strip() == str(path) and path.read_bytes() == hub
    assert err == "resnet18-imagenet: licence Apache-2.0; trained on ImageNet-1k\n"
    code, out, err = run("weights", "pull", "resnet18-imagenet", "--json", "--quiet", "--to", tmp_path / "else")
    assert code == 0 and err == ""
    assert json.loads(out) == {
        "name": "resnet18-imagenet", "path": str(tmp_path / "else" / path.name), "size": len(hub), "verified": False,
        "sha256": hashlib.sha256(hub).hexdigest(), "licence": "Apache-2.0", "training_data": "ImageNet-1k",
    }


def test_a_released_network_from_its_file_to_its_depth(run: Run, tmp_path: Path) -> None:
    """As FCRN was released: objects, a whole parallel module among them, in the layout of old torch."""
    network = registry.build("student", "fcrn,backbone=resnet18").network.eval()  # type: ignore[union-attr]
    document = {
        "args": argparse.Namespace(arch="resnet18"), "epoch": 3, "arch": "resnet18", "model": nn.DataParallel(network),
        "best_result": object(), "optimizer": torch.optim.SGD(network.parameters(), 0.1),  # type: ignore[operator]
    }
    file = tmp_path / "own" / "fcrn-resnet18-nyu.pth.tar"
    file.parent.mkdir()
    torch.save(document, file, _use_new_zipfile_serialization=False)
    spec = "teacher:fcrn,backbone=resnet18"
    _refused(run("eval", spec, "--data", "sim:rooms,count=1"), 4, "could run code", f"kdcli weights convert {file}")

    code, out, err = run("weights", "convert", "fcrn-resnet18-nyu", "--json")
    made, path = json.loads(out), tmp_path / "own" / "fcrn-resnet18-nyu.safetensors"
    assert code == 0 and made["path"] == str(path) and made["parameters"] == 13_681_520
    assert made["tensors"] == len(network.state_dict())  # type: ignore[operator]
    assert made["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert "taken from" in err and "'model' (torch.nn.parallel.data_parallel.DataParallel)" in err
    metadata = read_metadata(path)
    assert metadata["licence"] == "none stated" and metadata["weights"] == "fcrn-resnet18-nyu"
    assert metadata["source_sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert run("weights", "where", "fcrn-resnet18-nyu")[1].strip() == str(path)

    teacher, image = kdcli.load_model(spec), torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        assert torch.equal(teacher.network(image), network(image))  # type: ignore[operator]
    file.unlink()
    path.unlink()


def test_help_and_the_list_need_no_torch() -> None:
    for arguments in (["weights", "--help"], ["weights", "list"]):
        code = f"import sys; sys.argv = {['kdcli', *arguments]!r}\nfrom kdcli.cli.app import main\ntry:\n    main()\n" \
               "finally:\n    print('torch' in sys.modules, 'numpy' in sys.modules, file=sys.stderr)"
        done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
        assert (done.stderr.split() == ["False", "False"] and "midas-small" in done.stdout) or arguments[1] == "--help"


def test_convert_for_people(run: Run, tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(1000, 2)}, tmp_path / "x.pth")
    code, out, err = run("weights", "convert", "x.pth", "--quiet")
    digest = hashlib.sha256((tmp_path / "x.safetensors").read_bytes()).hexdigest()
    assert (code, out, err) == (0, f"x.safetensors: 1 tensors, 2,000 parameters, sha256 {digest}\n", "")
    _refused(run("weights", "convert", "x.safetensors"), 1, "replaced by its own conversion")
    _refused(run("weights", "convert", "y.pth"), 4, "do not exist")
    (tmp_path / "x.pth").write_bytes(b"\x80\x02junk")
    _refused(run("weights", "convert", "x.pth", "--out", "z.safetensors"), 4, "x.pth", "damaged")
    assert not (tmp_path / "z.safetensors").exists()
