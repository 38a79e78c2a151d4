"""Folders, images, runs and weights whose names are no UTF-8, on a terminal of ASCII: no work is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load as load_tensors
from test_streams import ASCII

from kdcli import recipes
from kdcli.config import dump, load
from kdcli.files import openable, write_json, write_text

ODD = b"-\xff\xe9"


def _kdcli(*arguments: str, folder: Path, code: int = 0) -> str:
    """Run a command; what it says on standard output."""
    done = subprocess.run(
        [sys.executable, "-m", "kdcli", *arguments], env=ASCII, cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    assert done.stdout.isascii() and "Traceback" not in done.stderr
    return done.stdout


@pytest.fixture
def source(tmp_path: Path) -> str:
    """A source of four images with depth, in a folder of an odd name; two of the images have one, too."""
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/source" + ODD))
    try:
        (folder / "images").mkdir(parents=True)
    except OSError:
        pytest.skip("this file system takes names of UTF-8 only")
    (folder / "depth").mkdir()
    draw = np.random.default_rng(0)
    for i in range(4):
        name = os.fsdecode(b"%d%s.png" % (i, ODD if i % 2 else b""))
        with (folder / "images" / name).open("wb") as stream:
            Image.fromarray(draw.integers(0, 255, (64, 80, 3), dtype=np.uint8)).save(stream, "PNG")
        with (folder / "depth" / name).open("wb") as stream:
            Image.fromarray((draw.random((64, 80)) * 5000 + 500).astype(np.uint16)).save(stream, "PNG")
    return str(folder)


def test_data_check(source: str, tmp_path: Path) -> None:
    assert "nothing is wrong" in _kdcli("data", "check", f"folder:{source}", folder=tmp_path)
    assert json.loads(_kdcli("data", "check", f"folder:{source}", "--json", folder=tmp_path))["findings"] == []


@pytest.mark.slow
def test_a_run_and_what_is_made_of_it(source: str, tmp_path: Path) -> None:
    run, again, weights, pictures, report = (
        os.fsdecode(name + ODD + ending)
        for name, ending in ((b"run", b""), (b"again", b""), (b"w", b".safetensors"), (b"out", b""), (b"e", b".html"))
    )
    data = ("--data", f"folder:{source}")
    short = ("--steps", "2", "--no-twin", "--eval-data", "none")
    _kdcli("distill", "--recipe", "supervised", *data, *short, "--batch-size", "2", "--size", "64x96", "--out", run,
           folder=tmp_path)  # fmt: skip
    _kdcli("distill", "--recipe", f"{run}/config.toml", *short[:2], "--out", again, folder=tmp_path)
    first, second = (load_tensors((tmp_path / name / "student.safetensors").read_bytes()) for name in (run, again))
    assert all(torch.equal(first[key], second[key]) for key in first)  # by its configuration
    (tmp_path / run / "student.safetensors").replace(tmp_path / weights)
    _kdcli("predict", weights, f"{source}/images", "--out", pictures, folder=tmp_path)
    assert len(list((tmp_path / pictures).glob("*.depth.png"))) == 4
    measured = json.loads(_kdcli("eval", weights, *data, "--report", report, "--json", folder=tmp_path))
    assert measured["model"] == weights
    for path in (*(tmp_path / again).rglob("*.html"), *(tmp_path / again).rglob("*.csv"), tmp_path / report):
        path.read_text(encoding="utf-8")
    exported = json.loads(_kdcli("eval", f"{again}/student.onnx", *data, "--json", folder=tmp_path))
    assert exported["metrics"]["delta1"] == pytest.approx(measured["metrics"]["delta1"], abs=1e-3)


def test_files_keep_names_and_text_apart(tmp_path: Path) -> None:
    odd = os.fsdecode(b"a\xff\x1b\x7f\"\\\n\t")
    config = load(*recipes.read("supervised"), {"data": f"folder:{odd}"}, alone=True)
    assert config.stages[0].data == f"folder:{odd}"
    write_text(tmp_path / "config.toml", dump(config), names=True)
    assert load(*recipes.read(str(tmp_path / "config.toml"))).stages == config.stages
    write_text(tmp_path / "table.csv", odd)
    assert (tmp_path / "table.csv").read_text(encoding="utf-8").startswith("a\\udcff")
    write_json(tmp_path / "facts.json", {odd: odd})
    assert json.loads((tmp_path / "facts.json").read_text(encoding="ascii")) == {odd: odd}
    path = tmp_path / os.fsdecode(b"w\xff")
    path.write_bytes(b"content")
    with openable(path) as opened:
        assert opened.read_bytes() == b"content" and str(opened).isascii()
