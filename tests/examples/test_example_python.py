"""The example in Python: alone with onnxruntime, numpy and Pillow it gives what kdcli gives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from example_nets import EXAMPLES, NEAR, Small, far, python_example, room, write
from PIL import Image

from kdcli.exporters import export, load_exported
from kdcli.predict import predict
from kdcli.types import MadeFor

ALONE = """
import runpy, sys
sys.modules.update(torch=None, kdcli=None)
runpy.run_path(sys.argv.pop(1), run_name="__main__")
"""


def call(*words: object) -> subprocess.CompletedProcess[str]:
    """Run the example where there is neither torch nor kdcli."""
    command = [sys.executable, "-c", ALONE, str(EXAMPLES / "python" / "depth.py"), *map(str, words), "--threads", "1"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def kdclis(file: Path, photo: Path, out: Path) -> np.ndarray:
    """Return kdcli's own map, which ``kdcli predict`` writes."""
    predict(load_exported(file), [photo], out, format="both")
    return np.load(out / f"{photo.stem}.depth.npy")


def test_it_gives_what_kdcli_gives(onnx_file: Path, photo: Path, expected: np.ndarray, tmp_path: Path) -> None:
    told = call(onnx_file, photo, "--out", tmp_path)
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith(f"{photo}: ") and told.stdout.endswith(" m (16 bits, millimetres)\n")
    assert far(expected, kdclis(onnx_file, photo, tmp_path / "own")) < NEAR
    for name, most in (("photo.depth.png", 1), ("photo.colour.png", 2)):
        ours, own = (np.asarray(Image.open(folder / name)).astype(int) for folder in (tmp_path, tmp_path / "own"))
        assert np.abs(ours - own[: len(ours)]).max() <= most  # below kdcli's colours stands a legend


def test_its_map_is_worth_comparing(onnx_file: Path, picture: np.ndarray, expected: np.ndarray) -> None:
    """Colours in the wrong order or a picture that is not resized would show."""
    model = python_example().DepthFile(str(onnx_file), 1)
    assert far(model(picture[..., ::-1]), expected) > 10 * NEAR
    model.made_for = {}
    assert far(model(picture), expected) > 10 * NEAR


@pytest.mark.parametrize(
    ("kind", "furthest", "options", "made_for", "written"),
    [
        ("metric", 20.0, {"size": (64, 96)}, None, "millimetres"),
        ("metric", 80.0, {"input": "uint8"}, MadeFor(eval_size=(64, 96), fit="within"), "1/256 m"),
        ("metric", 300.0, {}, None, "float32, metric, metres"),
        ("scale_invariant", 10.0, {}, MadeFor(eval_size=(64, 96), fit="around"), "no unit"),
        ("affine_disparity", 1.0, {"size": (64, 64), "input": "uint8"}, None, "no unit"),
        ("affine_depth", 1.0, {}, MadeFor(eval_size=(96, 64)), "no unit"),
    ],
)
def test_files_of_every_kind(
    kind: str, furthest: float, options: dict[str, object], made_for: MadeFor | None, written: str, tmp_path: Path
) -> None:
    file, photo = tmp_path / "net.onnx", write(room(3, "120x200"), tmp_path / "p.png")
    export(Small(kind, furthest, made_for).eval(), None, file, verify=False, **options)  # type: ignore[arg-type]
    told = call(file, photo, "--out", tmp_path / "out")
    assert told.returncode == 0 and written in told.stdout, told.stderr
    right = kdclis(file, photo, tmp_path / "own")
    # Where it takes bytes, the two round at half a step apart here and there.
    near = 0.02 if options.get("input") else NEAR
    assert far(python_example().DepthFile(str(file), 1)(np.asarray(Image.open(photo))), right) < near
    left = sorted(one.name for one in (tmp_path / "out").iterdir())
    assert left == ["p.colour.png", "p.depth.png" if kind == "metric" and furthest < 256 else "p.depth.npy"]
    if kind == "metric" and furthest < 256:
        whole = np.asarray(Image.open(tmp_path / "out" / "p.depth.png")) / (1000 if furthest < 65 else 256)
        assert np.abs(whole - right).max() < 0.003 + near * right.max()


def test_a_photograph_on_its_side_is_turned(onnx_file: Path, picture: np.ndarray, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(np.rot90(picture).copy()).save(tmp_path / "p.png", exif=exif)
    assert call(onnx_file, tmp_path / "p.png", "--out", tmp_path).returncode == 0
    assert Image.open(tmp_path / "p.depth.png").size == (320, 240)


def test_a_file_of_others_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "net.onnx"
    export(Small().eval(), None, file, size=(64, 96), verify=False)
    proto = onnx.load(file)
    del proto.metadata_props[:]
    onnx.save(proto, file)
    told = call(file, "photo.png")
    assert told.returncode == 1 and "does not say what its numbers mean" in told.stderr
