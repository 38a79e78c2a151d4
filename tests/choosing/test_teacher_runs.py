"""Teachers of several makers, each with the images that people have, end with a student that was exported."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest
from random_weights import checkpoint, transformers_model
from trees import Command, kitti, nyu, photos, rgbd

from kdcli.exporters import export
from kdcli.plugins import registry

SHORT = ("--steps", 2, "--batch-size", 2, "--size", "32x48", "--set", "log_every=1", "--no-twin")
SIMULATED = ("--set", "fit.steps=1", "--eval-data", "sim:interiors,count=2")


def nyu_lists(root: Path) -> str:
    return nyu(root, split=True)


def bts(folder: Path) -> str:
    return f"bts:{checkpoint('bts', folder / 'bts.pth')}"


def midas(folder: Path) -> str:
    return f"midas-small:{checkpoint('midas-small', folder / 'midas_v21_small_256.pt')}"


def hugging_face(folder: Path) -> str:
    if importlib.util.find_spec("transformers") is None or importlib.util.find_spec("kdcli_huggingface") is None:
        pytest.skip("kdcli-huggingface is not installed; pip install ./plugins/kdcli-huggingface")
    transformers_model("depth-anything", folder / "model")
    return f"hf:{folder / 'model'}"


def onnx(folder: Path) -> str:
    model = registry.build("student", "mobilenet,width=0.35").eval()
    return f"onnx:{export(model, 'onnx', folder / 'teacher.onnx', size=(32, 48)).path}"


@pytest.mark.slow
@pytest.mark.parametrize(("who", "make"), [
    (bts, kitti), (bts, None), (midas, photos), (midas, nyu_lists), (midas, None), (hugging_face, rgbd),
    (hugging_face, photos), (onnx, photos), (onnx, kitti),
])  # fmt: skip
def test_a_teacher_and_images(
    distil: Command, tmp_path: Path, who: Callable[[Path], str], make: Callable[[Path], str] | None
) -> None:
    where = SIMULATED if make is None else ("--data", make(tmp_path / "data"))
    document, said = distil("--teacher", who(tmp_path), "--student", "mobilenet", *where, *SHORT, "--out", "run")
    assert f"recipe {'data-free' if make is None else 'own-images'}: " in said
    assert (tmp_path / "run" / "student.onnx").is_file() and document["steps"] == 2
    assert set(document["eval"]) == (set() if make is photos else {"student", "teacher"})
