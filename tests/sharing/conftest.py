"""A finished run with a twin and an exported file, a hub on this machine, and the command line.

Tracing a network takes longer than all else here: a small graph with the metadata of an export stands for one.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hub_stand_in import WRITES, Hub, serving
from typer.testing import CliRunner

from kdcli.cli.app import app
from kdcli.exporters.card import describe
from kdcli.exporters.inputs import DESCRIBED
from kdcli.students.files import load_student

Call = Callable[..., Any]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run as ``kdcli distill`` leaves it."""
    path = tmp_path_factory.mktemp("made") / "small"
    told = CliRunner().invoke(app, [
        "distill", "--recipe", "data-free", "--set", "fit.steps=1", "--student", "mobilenet,width=0.35", "--teacher",
        "demo", "--data", "sim:blocks,count=4", "--size", "32x48", "--steps", "2", "--batch-size", "2", "--eval-data",
        "sim:rooms,count=3,seed=1000", "--workers", "0", "--logger", "none", "--set", "export=none", "--out", str(path),
        "--device", "cpu", "--quiet",
    ])
    assert told.exit_code == 0, (told.output, told.exception)
    network, card = load_student(path / "student.safetensors")
    stand_in(path / "student.onnx", describe(network, card) | {"image": DESCRIBED["float"], "precision": "fp32"})
    return path


def stand_in(path: Path, metadata: dict[str, str]) -> None:
    """Write an ONNX file that gives the mean of the channels as depth."""
    import onnx
    from onnx import TensorProto, helper

    sides = ["batch", 3, "height", "width"]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, sides)
    depth = helper.make_tensor_value_info("depth", TensorProto.FLOAT, ["batch", 1, "height", "width"])
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    node = helper.make_node("ReduceMean", ["image", "axes"], ["depth"], keepdims=1)
    graph = helper.make_graph([node], "net", [image], [depth], [axes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, metadata)
    onnx.save(model, path)


@pytest.fixture
def run(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, in the working folder."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(made, "runs/small"))


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with serving(tmp_path / "hub-cache") as served:
        yield served


@pytest.fixture
def token(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> str:
    """A token that may write."""
    monkeypatch.setenv("HF_TOKEN", WRITES)
    return WRITES


@pytest.fixture
def call() -> Call:
    """Run the command line in this process; a refusal is the result's ``exception``."""
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])
