"""Checkpoints, students, transformations and exported files, damaged, through the commands that read them."""

from __future__ import annotations

import io
import json
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import torch
from containers import damaged_head, damaged_safetensors, damaged_zip
from healthy import encoded, pairs, photo
from mutations import damaged, inputs, shown, twisted
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save
from torch import Tensor, nn

from kdcli.exporters.formats.pt2 import Pt2Exporter
from kdcli.students.files import save_student
from kdcli.students.mobilenet import MobileNet
from kdcli.transform import TransformNetwork
from kdcli.transform import save as save_transform
from kdcli.types import DepthKind, Prediction

Judge = Callable[..., int]
FACTS = {"depth_kind": "metric", "depth_range": "[0.1, 9.0]"}
NUMBERS = {"checkpoints": 90, "students": 24, "transforms": 16, "onnx": 60, "pt2": 24}
INPUTS = sum(NUMBERS.values())


class Small(nn.Module):
    """A network that gives metres at half the image's size."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 1, 3, stride=2, padding=1), nn.BatchNorm2d(1)

    def forward(self, image: Tensor) -> Prediction:
        return Prediction(depth=self.norm(self.conv(image)).exp(), kind=DepthKind.METRIC)


def _checkpoints() -> dict[str, bytes]:
    """Files of ``torch.save`` and of safetensors in several wrappers."""
    net = Small()
    optimiser = torch.optim.AdamW(net.parameters())
    wrapped = {
        "model": {f"module.{key}": value for key, value in net.state_dict().items()},
        "optimizer": optimiser.state_dict(),
        "epoch": 3,
        "args": {"lr": 1e-4},
    }
    return {
        "state.pth": _saved(net.state_dict()),
        "old.pth": _saved(net.state_dict(), zipped=False),
        "wrapped.pth": _saved(wrapped),
        "old_wrapped.tar": _saved(wrapped, zipped=False),
        "whole.pt": _saved(net),
        "old_whole.pth": _saved(net, zipped=False),
        "half.ckpt": _saved({"state_dict": {key: value.half() for key, value in net.state_dict().items()}}),
        "net.safetensors": save({key: value.contiguous() for key, value in net.state_dict().items()}, {"format": "pt"}),
    }


def _saved(thing: object, *, zipped: bool = True) -> bytes:
    stream = io.BytesIO()
    torch.save(thing, stream, _use_new_zipfile_serialization=zipped)
    return stream.getvalue()


def _hurt(name: str, content: bytes, draw: random.Random) -> bytes:
    parts = (
        damaged_safetensors if name.endswith(".safetensors") else damaged_zip if content[:2] == b"PK" else damaged_head
    )
    return draw.choice((damaged, damaged_head, parts, parts))(content, draw)


def test_damaged_checkpoints(judge: Judge, folder: Path) -> None:
    healthy = _checkpoints()
    for name, content in healthy.items():
        Path(name).write_bytes(content)
        assert judge("as it is", "weights", "convert", name, "--out", "out.safetensors", "--quiet") == 0
    for what, draw in inputs("checkpoints", NUMBERS["checkpoints"]):
        name = draw.choice(sorted(healthy))
        bad = _hurt(name, healthy[name], draw)
        Path(name).write_bytes(bad)
        judge(f"{what}: {name}: {shown(bad)}", "weights", "convert", name, "--out", "out.safetensors", "--json")
        Path("out.safetensors").unlink(missing_ok=True)


def test_damaged_students(judge: Judge, folder: Path) -> None:
    pairs(folder / "set")
    torch.manual_seed(0)
    save_student(
        Path("s.safetensors"), MobileNet(width=0.35), "mobilenet,width=0.35", {"size": [32, 64], "licence": "MIT"}
    )
    content = Path("s.safetensors").read_bytes()
    command = ("eval", "s.safetensors", "--data", "rgbd:set", "--size", "32x64", "--json", "--quiet")
    assert judge("as it is", *command) == 0
    for number, (what, draw) in enumerate(inputs("students", NUMBERS["students"])):
        bad = _hurt("s.safetensors", content, draw)
        Path("s.safetensors").write_bytes(bad)
        judge(f"{what}: {shown(bad)}", *command)
        if number % 3 == 0:
            judge(
                f"{what}: {shown(bad)}",
                "predict",
                "s.safetensors",
                "set/rgb/0.png",
                "--out",
                "maps",
                "--json",
                "--format",
                "both",
            )
            shutil.rmtree("maps", ignore_errors=True)


def test_damaged_transformations(judge: Judge, folder: Path) -> None:
    save_transform(TransformNetwork(width=4, depth=1), Path("t.safetensors"), {"teacher": {"spec": "demo"}, "steps": 3})
    content = Path("t.safetensors").read_bytes()
    command = (
        "distill",
        "--recipe",
        "supervised",
        "--transform",
        "t.safetensors",
        "--student",
        "mobilenet,width=0.35",
        "--data",
        "sim:blocks,count=4",
        "--batch-size",
        "2",
        "--size",
        "32x64",
        "--eval-data",
        "none",
        "--no-twin",
        "--dry-run",
        "--quiet",
    )
    assert judge("as it is", *command) == 0
    for what, draw in inputs("transforms", NUMBERS["transforms"]):
        bad = _hurt("t.safetensors", content, draw)
        Path("t.safetensors").write_bytes(bad)
        judge(f"{what}: {shown(bad)}", *command)


def _onnx() -> onnx.ModelProto:
    weight = np.full((1, 3, 1, 1), 0.5, np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "w"], ["raw"]), helper.make_node("Exp", ["raw"], ["depth"])],
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["b", 3, "h", "w"])],
        [helper.make_tensor_value_info("depth", TensorProto.FLOAT, ["b", 1, "h", "w"])],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    for key, value in FACTS.items():
        model.metadata_props.add(key=key, value=value)
    return model


def _twisted_onnx(draw: random.Random) -> bytes:
    """A model whose parts are other ones, in a file that parses."""
    model = _onnx()
    graph, odd = model.graph, draw.choice(("", "x", "depth", "image", "a\0b", "\x1b[31m", "x" * 3000, "../w"))
    way = draw.randrange(10)
    if way == 0:
        graph.node[draw.randrange(2)].op_type = draw.choice((odd, "Sqrt", "Log", "Loop", "If", "Resize", "Identity"))
    elif way == 1:
        graph.node[draw.randrange(2)].domain = draw.choice((odd, "com.microsoft", "ai.onnx.ml"))
    elif way == 2:
        graph.node[draw.randrange(2)].input[0] = odd
    elif way == 3:
        graph.initializer[0].dims[:] = draw.choice(([], [0], [-1, 3, 1, 1], [1, 3, 10**6, 10**6], [2**40], [3]))
    elif way == 4:
        graph.initializer[0].data_type = draw.randrange(30)
    elif way == 5:
        graph.initializer[0].raw_data = draw.choice(
            (b"", b"\xff" * 12, np.array([np.nan, np.inf, 1e38], "f4").tobytes())
        )
    elif way == 6:
        value = draw.choice((*graph.input, *graph.output)).type.tensor_type
        value.elem_type = draw.choice(
            (TensorProto.INT64, TensorProto.DOUBLE, TensorProto.STRING, TensorProto.FLOAT16, 99)
        )
    elif way == 7:
        shape = draw.choice((*graph.input, *graph.output)).type.tensor_type.shape
        shape.dim[draw.randrange(4)].dim_value = draw.choice((0, -1, 1, 3, 7, 10**9, 2**62))
    elif way == 8:
        note = draw.choice(model.metadata_props)
        note.value = draw.choice(
            (odd, "[]", "[1]", "[9, 0.1]", "[NaN, 1]", "[0, Infinity]", "[" * 10**5, "affine_disparity")
        )
    else:
        model.opset_import[0].version = draw.choice((0, -1, 1, 6, 99, 2**40))
        model.ir_version = draw.choice((0, 3, 8, 99, 2**40))
    return model.SerializeToString()


def test_damaged_onnx_files(judge: Judge, folder: Path) -> None:
    Path("a.png").write_bytes(encoded(photo(), "PNG"))
    content = _onnx().SerializeToString()
    Path("m.onnx").write_bytes(content)
    command = ("predict", "m.onnx", "a.png", "--out", "maps", "--json", "--format", "both", "--quiet")
    assert judge("as it is", *command) == 0
    for what, draw in inputs("onnx", NUMBERS["onnx"]):
        bad = _twisted_onnx(draw) if draw.random() < 0.6 else damaged(content, draw)
        Path("m.onnx").write_bytes(bad)
        judge(f"{what}: {shown(bad)}", *command)
        shutil.rmtree("maps", ignore_errors=True)


def _twisted_zip(content: bytes, draw: random.Random) -> bytes:
    """A value in one of the JSON members changed."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(made, "w") as new:
        chosen = draw.choice([name for name in old.namelist() if name.endswith(".json")])
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, json.dumps(twisted(json.loads(data), draw)) if name == chosen else data)
    return made.getvalue()


def test_damaged_programs(judge: Judge, folder: Path) -> None:
    Path("a.png").write_bytes(encoded(photo(), "PNG"))
    path = Path("m.pt2")
    Pt2Exporter().export(Small().eval(), path, size=(24, 32), dynamic=False, metadata=FACTS)
    content = path.read_bytes()
    command = ("predict", "m.pt2", "a.png", "--out", "maps", "--json", "--format", "both", "--quiet")
    assert judge("as it is", *command) == 0
    ways: tuple[Callable[[bytes, random.Random], bytes], ...] = (damaged, damaged_zip, _twisted_zip, _twisted_zip)
    for what, draw in inputs("pt2", NUMBERS["pt2"]):
        bad = draw.choice(ways)(content, draw)
        path.write_bytes(bad)
        judge(f"{what}: {len(bad)} bytes", *command)
        shutil.rmtree("maps", ignore_errors=True)
