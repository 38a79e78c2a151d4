from __future__ import annotations

import copy
import hashlib
import json
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch.nn import functional
from typer.testing import CliRunner

import kdcli
from kdcli.cli.app import app
from kdcli.errors import ConfigError, KdcliError, SpecError, WeightsError
from kdcli.exporters import export
from kdcli.models import load_teacher
from kdcli.plugins import registry
from kdcli.students.files import save_student
from kdcli.testing import check_teacher, toy_batch
from kdcli.types import DepthKind, MadeFor

IMAGE = toy_batch(batch=3, size=(32, 48)).image
OPEN: tuple[int | str, ...] = ("b", 3, "h", "w")
SAID = {"depth_kind": "metric", "depth_range": "[0.1, 10.0]"}


def _file(
    path: Path, *, shape: Sequence[int | str] | None = OPEN, kind: int = TensorProto.FLOAT, out: str = "b1hw",
    metadata: Mapping[str, str] | None = None, inputs: int = 1,
) -> str:
    """A file whose map is the mean of the three colours of what it is given."""
    last = shape is not None and shape[-1] == 3
    nodes, value = [], "image"
    if kind != TensorProto.FLOAT:
        nodes.append(helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT))
        value = "float"
    if last:
        nodes.append(helper.make_node("Transpose", [value], ["first"], perm=[0, 3, 1, 2]))
        value = "first"
    nodes.append(helper.make_node("ReduceMean", [value], ["mean"], axes=[1], keepdims=1))
    nodes.append(helper.make_node("Neg", ["mean"], ["minus"]))
    end = {"b1hw": "Identity", "bhw": "Squeeze", "bhw1": "Transpose", "b3hw": "Concat", "scalar": "ReduceMean"}[out]
    arguments: dict[str, Any] = {"bhw1": {"perm": [0, 2, 3, 1]}, "b3hw": {"axis": 1},
                                 "scalar": {"keepdims": 0}}.get(out, {})
    taken = {"bhw": ["mean", "one"], "b3hw": ["mean"] * 3}.get(out, ["mean"])
    nodes.append(helper.make_node(end, taken, ["depth"], **arguments))
    b, h, w = ("b", "h", "w") if shape is None else (shape[0], *(shape[1:3] if last else shape[2:4]))
    shapes = {"b1hw": [b, 1, h, w], "bhw": [b, h, w], "bhw1": [b, h, w, 1], "b3hw": [b, 3, h, w], "scalar": []}
    given = [helper.make_tensor_value_info("image", kind, shape)]
    given += [helper.make_tensor_value_info(f"more{i}", TensorProto.FLOAT, [1]) for i in range(inputs - 1)]
    graph = helper.make_graph(
        nodes, "mean", given,
        [helper.make_tensor_value_info("depth", TensorProto.FLOAT, shapes[out]),
         helper.make_tensor_value_info("minus", TensorProto.FLOAT, [b, 1, h, w])],
        [helper.make_tensor("one", TensorProto.INT64, [1], [1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(model, dict(metadata or {}))
    onnx.save(model, path)
    return str(path)


def _depth(spec: str, image: torch.Tensor = IMAGE) -> torch.Tensor:
    with torch.no_grad():
        said = load_teacher(f"onnx:{spec}")(image)
    assert said.kind is DepthKind.METRIC and said.depth.dtype == torch.float32
    return said.depth


@pytest.mark.parametrize("out", ["b1hw", "bhw", "bhw1"])
@pytest.mark.parametrize("shape", [OPEN, ("b", "h", "w", 3), ("b", "c", "h", "w"), None], ids=str)
def test_every_layout_of_input_and_output(tmp_path: Path, shape: Sequence[int | str] | None, out: str) -> None:
    depth = _depth(_file(tmp_path / "net.onnx", shape=shape, out=out) + ",kind=metric")
    assert torch.allclose(depth, IMAGE.mean(1, keepdim=True), atol=1e-6)


def test_the_layout_can_be_named(tmp_path: Path) -> None:
    file = _file(tmp_path / "net.onnx", shape=("b", "h", "w", 3))
    assert torch.equal(_depth(f"{file},kind=metric,layout=nhwc"), _depth(f"{file},kind=metric"))
    assert "is not nchw" in str(_refused(f"{file},kind=metric,layout=nchw", SpecError))


def test_normalisation(tmp_path: Path) -> None:
    file = _file(tmp_path / "net.onnx") + ",kind=metric,normalise="
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    wanted = {
        "none": IMAGE, "half": IMAGE * 2 - 1, "255": IMAGE * 255,
        "imagenet": (IMAGE - mean.view(3, 1, 1)) / deviation.view(3, 1, 1),
    }
    for name, image in wanted.items():
        assert torch.allclose(_depth(file + name), image.mean(1, keepdim=True), rtol=1e-5, atol=1e-5)


def test_half_precision_and_bytes(tmp_path: Path) -> None:
    file = _file(tmp_path / "half.onnx", kind=TensorProto.FLOAT16)
    assert torch.allclose(_depth(f"{file},kind=metric"), IMAGE.half().float().mean(1, keepdim=True), atol=1e-6)
    file = _file(tmp_path / "bytes.onnx", kind=TensorProto.UINT8)
    assert torch.allclose(_depth(f"{file},kind=metric"), (IMAGE * 255).round().mean(1, keepdim=True), atol=1e-4)
    assert "takes bytes" in str(_refused(f"{file},kind=metric,normalise=half", SpecError))


def test_fixed_sizes_and_batches(tmp_path: Path) -> None:
    file = _file(tmp_path / "net.onnx", shape=(2, 3, 16, 24))
    teacher = load_teacher(f"onnx:{file},kind=metric")
    assert teacher.input_size == (16, 24)
    small = functional.interpolate(IMAGE, size=(16, 24), mode="bilinear", antialias=True)
    for count in (1, 2, 3):
        with torch.no_grad():
            depth = teacher(IMAGE[:count]).depth
        assert torch.allclose(depth, small[:count].mean(1, keepdim=True), atol=1e-6)
    assert "takes images of 16x24" in str(_refused(f"{file},kind=metric,size=32x48", SpecError))
    loose = _file(tmp_path / "loose.onnx")
    assert _depth(f"{loose},kind=metric,size=16x24").shape == (3, 1, 16, 24)
    half = _file(tmp_path / "half.onnx", shape=("b", 3, 16, "w"))
    assert _depth(f"{half},kind=metric").shape == (3, 1, 16, 48)


def test_outputs_are_chosen_by_name_or_number(tmp_path: Path) -> None:
    file = _file(tmp_path / "net.onnx") + ",kind=metric"
    depth = _depth(file)
    for asked, sign in (("depth", 1), ("0", 1), ("minus", -1), ("1", -1)):
        assert torch.equal(_depth(f"{file},output={asked}"), sign * depth)
    message = str(_refused(f"{file},output=dept", SpecError))
    assert "Did you mean 'depth'?" in message and "Outputs: depth, minus" in message


def test_kind_range_and_provenance(tmp_path: Path) -> None:
    file = _file(tmp_path / "net.onnx", metadata={"license": "MIT"})
    message = str(_refused(file, SpecError))
    assert "add kind=, one of metric, scale_invariant, affine_depth, affine_disparity" in message
    teacher = load_teacher(f"onnx:{file},kind=affine_disparity")
    assert teacher.depth_kind is DepthKind.AFFINE_DISPARITY and teacher.taps == {}
    assert teacher.provenance.sha256 == hashlib.sha256(Path(file).read_bytes()).hexdigest()
    assert teacher.provenance.licence == "MIT" and teacher.provenance.training_data == "unknown"
    cut = load_teacher(f"onnx:{file},kind=metric,max_depth=80")
    assert cut.depth_range == (0.0, 80.0) and cut.read_out.clip == (0.0, 80.0)
    said = {"depth_kind": "scale_invariant", "depth_range": "[0.5, 8.0]"}
    own = load_teacher(f"onnx:{_file(tmp_path / 'own.onnx', metadata=said)}")
    assert own.depth_kind is DepthKind.SCALE_INVARIANT and own.depth_range == (0.5, 8.0)
    assert "max_depth=0.1 does not fit" in str(_refused(f"{tmp_path / 'own.onnx'},max_depth=0.1", SpecError))


def test_it_conforms_but_for_the_gradient(tmp_path: Path) -> None:
    file = _file(tmp_path / "net.onnx")
    check_teacher(f"onnx:{file},kind=metric", skip=["gradient to the image"])
    teacher = load_teacher(f"onnx:{file},kind=metric")
    with torch.no_grad():
        assert torch.equal(copy.deepcopy(teacher)(IMAGE).depth, teacher(IMAGE).depth)
        assert torch.equal(pickle.loads(pickle.dumps(teacher))(IMAGE).depth, teacher(IMAGE).depth)
        teacher(IMAGE.clone().requires_grad_())
    with pytest.raises(ConfigError, match="no gradient to the image"):
        teacher(IMAGE.clone().requires_grad_())


@pytest.mark.parametrize(("change", "words"), [
    ({"inputs": 2}, "takes 2 inputs"),
    ({"out": "b3hw", "shape": (1, 3, 16, 24)}, "no map of depth"),
    ({"kind": TensorProto.INT64}, "takes tensor(int64)"),
    ({"shape": ("b", 1, "h", "w")}, "1 colours"),
])
def test_files_of_something_else_are_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    file = _file(tmp_path / "net.onnx", **change)
    assert words in str(_refused(f"{file},kind=metric", WeightsError))


def test_missing_and_broken_files(tmp_path: Path) -> None:
    assert "no ONNX file at" in str(_refused(f"{tmp_path / 'none.onnx'},kind=metric", WeightsError))
    (tmp_path / "text.onnx").write_text("not a network")
    assert "no ONNX file that can be run" in str(_refused(f"{tmp_path / 'text.onnx'},kind=metric", WeightsError))
    (tmp_path / "lfs.onnx").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    assert "git lfs pull" in str(_refused(f"{tmp_path / 'lfs.onnx'},kind=metric", WeightsError))
    whole = Path(_file(tmp_path / "net.onnx"))
    (tmp_path / "half.onnx").write_bytes(whole.read_bytes()[:100])
    _refused(f"{tmp_path / 'half.onnx'},kind=metric", WeightsError)


def test_what_only_running_shows_is_told_in_one_line(tmp_path: Path) -> None:
    for out in ("scalar", "b3hw"):
        with pytest.raises(WeightsError, match="no map of depth"):
            _depth(_file(tmp_path / "net.onnx", out=out) + ",kind=metric")
    fixed = onnx.load(_file(tmp_path / "picky.onnx"))
    fixed.graph.node.insert(0, helper.make_node("Add", ["image", "grid"], ["sum"]))
    fixed.graph.node[1].input[0] = "sum"
    fixed.graph.initializer.append(helper.make_tensor("grid", TensorProto.FLOAT, [1, 1, 16, 24], [0.0] * 384))
    onnx.save(fixed, tmp_path / "picky.onnx")
    with pytest.raises(ConfigError, match="does not take 3 images of 32x48"):
        _depth(f"{tmp_path / 'picky.onnx'},kind=metric")
    assert _depth(f"{tmp_path / 'picky.onnx'},kind=metric,size=16x24").shape == (3, 1, 16, 24)


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A small network as its own file and as kdcli exports it."""
    folder = tmp_path_factory.mktemp("exported")
    torch.manual_seed(0)
    network = registry.build("student", "mobilenet,width=0.35").eval()
    torch.nn.init.normal_(network.head.conv.weight, std=0.3)
    card = {"licence": "CC-BY-4.0", "training_data": "boxes"}
    save_student(folder / "student.safetensors", network, network.architecture, card)
    export(network, "onnx", folder / "student.onnx", size=(32, 48), card=card, verify=False)
    return folder / "student.safetensors", folder / "student.onnx"


def test_an_exported_student_teaches_what_the_student_says(student: tuple[Path, Path]) -> None:
    teacher = load_teacher(f"onnx:{student[1]}")
    own = kdcli.load_model(student[0])
    with torch.no_grad():
        assert torch.allclose(teacher(IMAGE).depth, own(IMAGE).depth, rtol=1e-4, atol=1e-4)
    assert teacher.depth_kind is DepthKind.METRIC and teacher.depth_range == (0.1, 10.0)
    assert teacher.provenance.licence == "CC-BY-4.0" and teacher.provenance.training_data == "boxes"


@pytest.mark.parametrize(
    ("shape", "metadata", "options", "made"),
    [
        (OPEN, {}, ",kind=metric", None),
        (OPEN, {}, ",kind=metric,max_depth=10", MadeFor(far=10.0)),
        (OPEN, {}, ",kind=metric,size=32x48", MadeFor(train_size=(32, 48), eval_size=(32, 48))),
        ((1, 3, 32, 48), {}, ",kind=affine_depth", MadeFor(train_size=(32, 48), eval_size=(32, 48))),
        (OPEN, {"made_for": '{"train_size": [8, 9], "domain": "driving"}', **SAID}, "",
         MadeFor(train_size=(8, 9), domain="driving")),
        ((1, 3, 32, 48), {"made_for": '{"train_size": [8, 9], "eval_size": [8, 9]}', **SAID}, "",
         MadeFor(train_size=(8, 9), eval_size=(32, 48))),
        (OPEN, {"trained_size": "[8, 9]", **SAID}, "", MadeFor(train_size=(8, 9), eval_size=(8, 9))),
        (OPEN, {"made_for": "whatever"}, ",kind=affine_depth", None),  # of another writer
    ],
    ids=str,
)
def test_a_file_tells_what_it_was_made_for(
    tmp_path: Path, shape: Sequence[int | str], metadata: Mapping[str, str], options: str, made: MadeFor | None
) -> None:
    file = _file(tmp_path / "net.onnx", shape=shape, metadata=metadata)
    assert load_teacher(f"onnx:{file}{options}").made_for == made


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"train_size": [0, 1]}', "[" * 10_000])
def test_what_is_damaged_in_it_is_refused(tmp_path: Path, text: str) -> None:
    file = _file(tmp_path / "net.onnx", metadata={"made_for": text, **SAID})
    with pytest.raises(WeightsError, match=r"net\.onnx' is damaged \(.*made_for"):
        load_teacher(f"onnx:{file}")


def test_it_is_evaluated_and_distilled_from(
    student: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spec = f"onnx:{student[1]},kind=metric"
    data = ["--data", "sim:rooms,count=2,seed=7", "--size", "32x48"]
    result = CliRunner().invoke(app, ["eval", f"teacher:{spec}", *data, "--json"])
    assert result.exit_code == 0, (result.output, result.exception)
    assert "abs_rel" in json.dumps(json.loads(result.stdout))
    (tmp_path / "tiny.toml").write_text(f"""
[run]
student = "mobilenet,width=0.35"
export = "none"
[[stage]]
name = "train"
teachers = ["{spec}"]
data = "sim:rooms,count=4"
size = "32x48"
batch_size = 2
losses = {{ silog = 1.0 }}
steps = 2
lr = 1e-3
""")
    result = CliRunner().invoke(app, ["distill", "--recipe", "tiny.toml", "--out", "run"])
    assert result.exit_code == 0, (result.output, result.exception)
    assert (tmp_path / "run" / "student.safetensors").is_file()


def _refused(spec: str, kind: type[KdcliError]) -> KdcliError:
    with pytest.raises(kind) as caught:
        load_teacher(f"onnx:{spec}")
    assert "\n" not in str(caught.value)
    return caught.value
