"""What a user gets wrong is answered with one line, the right code, and nothing half-written."""

from __future__ import annotations

import json
import os
import pickle
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from kdcli.cli import app
from kdcli.plugins import registry
from kdcli.students.files import save_student

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Run]:
    """Run the command line in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KDCLI_OFFLINE", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}

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
    lines = err.strip().splitlines()
    assert got == code, err
    assert len(lines) == 1 and lines[0].startswith("kdcli: "), err
    assert out == ""
    for word in words:
        assert word in lines[0], lines[0]


def _png(width: int, height: int) -> bytes:
    """Return a PNG whose header claims a size that its content does not have."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def _whole_png(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    return path


BROKEN_IMAGES = {
    "text.png": (b"not an image", "not an image"),
    "empty.png": (b"", "empty"),
    "huge.png": (_png(100_000, 100_000), "megapixels"),
    "pointer.png": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n", "git lfs pull"),
}


@pytest.mark.parametrize("name", BROKEN_IMAGES)
def test_broken_images(run: Run, tmp_path: Path, name: str) -> None:
    content, word = BROKEN_IMAGES[name]
    (tmp_path / name).write_bytes(content)
    _refused(run("predict", "teacher:demo", name, "--out", "out"), 4, name, word)
    assert not (tmp_path / "out").exists()


def test_a_truncated_image_is_named(run: Run, tmp_path: Path) -> None:
    whole = _whole_png(tmp_path / "in" / "a.png").read_bytes()
    (tmp_path / "in" / "a.png").write_bytes(whole[: len(whole) // 2])
    _refused(run("predict", "teacher:demo", "in", "--out", "out"), 4, "in/a.png", "truncated")


class _Code:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.mkdir, ("was-run",))


@pytest.mark.parametrize("spec", ["weights.pt", "teacher:adabins:weights.pt", "teacher:run:weights.pt"])
@pytest.mark.parametrize("content", ["code", "junk", "nothing"])
def test_weights_that_cannot_be_used(run: Run, tmp_path: Path, spec: str, content: str) -> None:
    path = tmp_path / "weights.pt"
    if content == "code":
        torch.save({"model": _Code()}, path)
    else:
        path.write_bytes(b"\xff" * 4096 if content == "junk" else b"")
    _refused(run("eval", spec, "--data", "sim:rooms,count=2"), 4, "weights.pt")
    assert not (tmp_path / "was-run").exists()


def test_a_pickle_under_another_name_is_not_run(run: Run, tmp_path: Path) -> None:
    (tmp_path / "student.safetensors").write_bytes(pickle.dumps(_Code()))
    _refused(run("eval", "student.safetensors", "--data", "sim:rooms,count=2"), 4, "student.safetensors")
    assert not (tmp_path / "was-run").exists()


def test_a_student_cut_short(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "student.safetensors"
    save_student(path, registry.build("student", "mobilenet,width=0.35"), "mobilenet,width=0.35", {})
    path.write_bytes(path.read_bytes()[:100_000])
    _refused(run("eval", path, "--data", "sim:rooms,count=2"), 4, "cut short")


@pytest.mark.parametrize(
    ("args", "code", "word"),
    [
        (["eval", "teacher:dmo", "--data", "sim:rooms,count=2"], 3, "'demo'"),
        (["eval", "teacher:demo", "--data", "smi:rooms"], 3, "'sim'"),
        (["eval", "teacher:demo", "--data", "sim:rooms,cuont=2"], 1, "'count'"),
        (["eval", "teacher:demo", "--data", "sim:rooms,count=two"], 1, "two"),
        (["eval", "teacher:demo", "--data", "sim:rooms,count=2", "--protocol", "nyu-eigne"], 1, "nyu-eigen"),
        (["eval", "teacher:demo", "--data", "sim:rooms,count=2", "--align", "medain"], 1, "median"),
        (["eval", "teacher:demo", "--data", "sim:rooms,count=2", "--size", "0x4"], 1, "0x4"),
        (["eval", "teacher:demo", "--data", "sim:rooms,count=2", "--size", "100000x100000"], 1, "beyond 16384 pixels"),
        (["eval", "teacher:demo", "--data", "sim:rooms,count=2", "--device", "meta"], 1, "meta"),
        (["eval", "", "--data", "sim:rooms,count=2"], 1, "MODEL is empty"),
        (["export", "teacher:demo", "--format", "onyx", "--out", "x"], 3, "onnx"),
        (["mix", "--data", "sim:blocks", "--mixer", "objekt", "--count", "2", "--out", "x"], 3, "object"),
        (["mix", "--data", "sim:blocks", "--mixer", "object,probability=2", "--count", "2", "--out", "x"], 1, "0..1"),
        (["fit-transform", "--teacher", "ground-truth", "--data", "sim:blocks,count=4", "--out", "f.safetensors"], 1,
         "gives no gradient to the image"),
        (["distill", "--teacher", "adabins", "--student", "mobilenet"], 4, "AdaBins_nyu.pt"),
        (["distill", "--resume", "nowhere"], 4, "nowhere"),
        (["distill", "--steps", "2", "--epochs", "2"], 1, "exclude"),
        (["distill", "--lr", "inf"], 1, "lr=inf"),
        (["distill", "--loss", "l1=-1"], 1, "not negative"),
        (["distill", "--loss", "l1=0"], 1, "no loss"),
        (["distill", "--set", "stepz=3"], 1, "'steps'"),
        (["distill", "--set", "size=[1, 2, 3]"], 1, "no size"),
        (["distill", "--data", "sim:blocks", "--seed", "-1"], 1, "--seed=-1 is no seed"),
        (["distill", "--set", f"seed={2**63}"], 1, "seed"),
        (["distill", "--device", "cpu:7"], 1, "cpu:7"),
        (["distill", "--resume", "nowhere", "--recipe", "plain"], 1, "--recipe cannot be given beside it"),
        (["distill", "--resume", "nowhere", "--loss", "l1=1"], 1, "--loss cannot be given beside it"),
        (["explain", "demo", "x.png", "--out", "x.txt"], 1, "--out 'x.txt' does not end like a figure"),
        (["explain", "demo", "x.png", "--out", "x.png", "--truth-scale", "2"], 1, "--truth-scale 2 is of --truth"),
        (["eval", "demo", "--data", "sim:rooms,count=2"], 4, "write teacher:demo"),
        (["runs", "compare", "a", "b", "--plot", "x.txt"], 1, "--plot 'x.txt' does not end like a figure"),
        (["mix", "--data", "sim:blocks", "--mixer", "none", "--count", "2", "--out", "x", "--preview", "x.txt"], 1,
         "--preview 'x.txt' does not end like a picture"),
        (["fit-transform", "--teacher", "demo", "--out", "f.safetensors", "--picture", "x.txt"], 1, "like a picture"),
        (["data", "show", "sim:rooms,count=2", "--out", "x.png", "--over", "--edges"], 1, "give one"),
        (["fit-transform", "--teacher", "demo", "--record", "f.safetensors", "--data", "sim:blocks,count=2",
          "--width", "3"], 1, "--width 3 is for fitting"),
        (["export", "net.onnx", "--out", "x.onnx"], 1, "is an exported file"),
        (["export", "teacher:demo", "--out", "x.onnx", "--int8", "--precision", "fp16"], 1, "leave one of them out"),
        (["plugins", "list", "--timeout", "nan"], 1, "--timeout nan is no time"),
        (["recipes", "show", "nothing"], 3, "kdcli recipes list"),
        (["runs", "show", "nowhere"], 4, "nowhere"),
        (["recipes", "show", "data-fre"], 3, "data-free"),
        (["weights", "where", "nothing"], 4, "nothing"),
    ],
)  # fmt: skip
def test_refusals(run: Run, tmp_path: Path, args: list[str], code: int, word: str) -> None:
    _refused(run(*args), code, word)
    assert not any(path for path in tmp_path.iterdir() if path.name != "cache")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_where_there_is_none(run: Run) -> None:
    _refused(run("eval", "teacher:demo", "--data", "sim:rooms,count=2", "--device", "cuda"), 1, "cuda")


@pytest.mark.parametrize(
    "args",
    [
        ["eval", "teacher:demo", "--data", "sim:rooms,count=2", "--csv", "file/x.csv"],
        ["eval", "teacher:demo", "--data", "sim:rooms,count=2", "--report", "file/x.html"],
        ["predict", "teacher:demo", "in", "--out", "file/out"],
        ["mix", "--data", "sim:blocks", "--mixer", "none", "--count", "2", "--out", "file/out"],
        ["fit-transform", "--teacher", "demo", "--data", "sim:blocks,count=4", "--out", "file/f.safetensors"],
        ["data", "show", "sim:rooms,count=2", "--out", "file/x.png"],
        ["recipes", "copy", "plain", "--out", "file/x.toml"],
    ],
)
def test_folders_that_cannot_be_written(run: Run, tmp_path: Path, args: list[str]) -> None:
    (tmp_path / "file").write_text("x")
    _whole_png(tmp_path / "in" / "a.png")
    _refused(run(*args), 1, "Not a directory 'file/")


def test_a_folder_that_is_no_run_is_no_unfinished_one(run: Run, tmp_path: Path) -> None:
    _whole_png(tmp_path / "in" / "a.png")
    _refused(run("predict", "in", "in", "--out", "out"), 4, "'in' is no run")
    _refused(run("distill", "--teacher", "in"), 3, "images are given as --data folder:in")
    _refused(run("distill", "--data", "sim:blocks", "--student", "in"), 3, "images are given as --data folder:in")
    for name in ("out.avi", "depth.png"):
        _refused(run("predict", "teacher:demo", "in", "--out", name), 1, f"--out '{name}' is no folder")


def test_limits_are_looked_at_before_the_first_picture(run: Run, tmp_path: Path) -> None:
    _whole_png(tmp_path / "in" / "a.png")
    _refused(run("predict", "teacher:demo", "in", "--out", "out", "--limits", "3,1"), 1, "3,1")
    assert not (tmp_path / "out").exists()


def test_usage_errors_are_two(run: Run) -> None:
    assert run("distill", "--no-such-flag")[0] == 2
    assert run("mix", "--data", "sim:blocks", "--mixer", "none", "--count", "0", "--out", "x")[0] == 2
    assert run("nonsense")[0] == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_says_so_and_tidies_up(tmp_path: Path, number: int) -> None:
    command = [sys.executable, "-m", "kdcli", "mix", "--data", "sim:blocks", "--mixer", "none", "--count", "100000"]
    process = subprocess.Popen([*command, "--out", str(tmp_path / "set")], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 600
    while not list(tmp_path.glob("set/images/0*.png")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=600)
    kept = f"what was done is kept in {tmp_path / 'set'}; the same command goes on\n"
    assert process.returncode == 130 and err == kept + "kdcli: interrupted\n"
    assert not list(tmp_path.rglob(".*"))


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    command = f"'{sys.executable}' -m kdcli plugins list --json; echo code $? >&2"
    told = subprocess.run(["bash", "-c", f"({command}) | true"], capture_output=True, text=True, cwd=tmp_path)
    assert told.stderr.strip() == "code 0"


def test_json_stays_json_beside_an_error(run: Run, tmp_path: Path) -> None:
    _whole_png(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "b.png").write_text("no image")
    code, out, err = run("predict", "teacher:demo", "in", "--out", "out", "--json")
    told = json.loads(out)
    assert code == 4 and len(told["predicted"]) == 1 and len(told["skipped"]) == 1
    seen, error = err.strip().splitlines()
    assert "seen at 64x96" in seen and error.startswith("kdcli: 1 of 2 inputs")
