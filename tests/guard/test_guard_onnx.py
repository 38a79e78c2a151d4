"""What an ONNX file may hold. Foreign operators are names here; no library, program or file of another is touched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from kdcli.errors import WeightsError
from kdcli.exporters import load_exported
from kdcli.exporters.formats.onnx import OnnxFile
from kdcli.guard import onnx_file
from kdcli.guard.onnx_open import open_onnx
from kdcli.models import load_teacher

WEIGHT = np.arange(3, dtype=np.float32).reshape(1, 3, 1, 1)
IMAGE = np.ones((1, 3, 4, 5), np.float32)


def _model(nodes: list[Any] | None = None, weights: list[Any] | None = None) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes or [helper.make_node("Conv", ["image", "w"], ["depth"])], "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["b", 3, "h", "w"])],
        [helper.make_tensor_value_info("depth", TensorProto.FLOAT, ["b", 1, "h", "w"])],
        [numpy_helper.from_array(WEIGHT, "w")] if weights is None else weights,
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture
def never(monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime is not even asked."""
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *_, **__: pytest.fail("onnxruntime saw the file"))


def _refused(path: Path, reason: str) -> None:
    before = sorted(path.parent.rglob("*"))
    for opened in (OnnxFile, lambda p: load_teacher(f"onnx:{p},kind=metric")):
        with pytest.raises(WeightsError, match=reason) as caught:
            opened(path)
        assert "\n" not in str(caught.value) and str(path) in str(caught.value) and ";" in str(caught.value)
    assert sorted(path.parent.rglob("*")) == before


def _saved(model: onnx.ModelProto, path: Path) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


def _external(location: str, **place: int) -> TensorProto:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=WEIGHT.shape)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **place}.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def test_weights_beside_the_file_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net.onnx.data").write_bytes(bytes(8) + WEIGHT.tobytes() + bytes(4))
    path = _saved(_model(weights=[_external("net.onnx.data", offset=8, length=12)]), tmp_path / "net.onnx")
    monkeypatch.chdir("/")
    session = open_onnx(path)
    path.unlink()
    (tmp_path / "net.onnx.data").unlink()  # they are ours now
    assert session.run(None, {"image": IMAGE})[0].tolist() == [[[[3.0] * 5] * 4]]


def test_a_folder_of_links_into_one_store_is_read(tmp_path: Path) -> None:
    store, folder = tmp_path / "blobs", tmp_path / "snapshots" / "1"
    store.mkdir()
    folder.mkdir(parents=True)
    (store / "b").write_bytes(WEIGHT.tobytes())
    _saved(_model(weights=[_external("net.data")]), store / "a")
    (folder / "net.onnx").symlink_to("../../blobs/a")
    (folder / "net.data").symlink_to("../../blobs/b")
    assert open_onnx(folder / "net.onnx").run(None, {"image": IMAGE})[0].max() == 3


@pytest.mark.usefixtures("never")
@pytest.mark.parametrize(
    "location",
    ["../outside", "/etc/hostname", "inner/../../outside", "missing", "", "link", "*/_ORT_MEM_ADDR_/*",
    "..\\outside", "."],
)
def test_weights_in_other_places_are_refused(tmp_path: Path, location: str) -> None:
    (tmp_path / "outside").write_bytes(WEIGHT.tobytes())
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    (folder / "link").symlink_to("../outside")
    _refused(_saved(_model(weights=[_external(location)]), folder / "net.onnx"), "no file in its folder")


@pytest.mark.usefixtures("never")
@pytest.mark.parametrize(
    "place", [{"offset": 4}, {"offset": -4}, {"length": 8}, {"length": 1 << 50}, {"offset": 1 << 70}]
)
def test_weights_beyond_their_file_are_refused(tmp_path: Path, place: dict[str, int]) -> None:
    (tmp_path / "data").write_bytes(WEIGHT.tobytes())
    _refused(_saved(_model(weights=[_external("data", **place)]), tmp_path / "net.onnx"), "bytes in 'data'")


@pytest.mark.usefixtures("never")
@pytest.mark.parametrize("where", ["attribute", "branch"])
def test_other_values_in_other_files_are_refused(tmp_path: Path, where: str) -> None:
    (tmp_path / "data").write_bytes(WEIGHT.tobytes())
    hidden = _external("data")
    hidden.name = "hidden"
    constant = helper.make_node("Constant", [], ["v"], value=hidden)
    if where == "branch":
        inner = helper.make_graph([helper.make_node("Identity", ["hidden"], ["v"])], "branch", [], [], [hidden])
        constant = helper.make_node("If", ["yes"], ["v"], then_branch=inner, else_branch=inner)
    model = _model([constant, helper.make_node("Conv", ["image", "v"], ["depth"])])
    _refused(_saved(model, tmp_path / "net.onnx"), "that are no weights")


@pytest.mark.usefixtures("never")
@pytest.mark.parametrize(
    "operator",
    [
        ("mine", "Anything"), ("com.microsoft", "PythonOp"), ("com.microsoft", "EPContext"), ("com.microsoft", "Snpe"),
        ("com.microsoft", "Conv"), ("org.pytorch.aten", "ATen"), ("ai.onnx.contrib", "PyOp"), ("ai.onnx ", "Conv"),
        ("\x1b[31m", "x\ny"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("deep", [False, True])
def test_operators_that_are_not_of_onnx_are_refused(tmp_path: Path, operator: tuple[str, str], deep: bool) -> None:
    node = helper.make_node(operator[1], ["image"], ["depth"], domain=operator[0])
    if deep:
        inner = helper.make_graph([node], "branch", [], [])
        node = helper.make_node("If", ["yes"], ["depth"], then_branch=inner, else_branch=inner)
    path = _saved(_model([node]), tmp_path / "net.onnx")
    with pytest.raises(WeightsError, match="which is no operator of ONNX"):
        open_onnx(path)


def test_operators_that_the_file_defines_are_looked_into(tmp_path: Path) -> None:
    def model(inside: str) -> onnx.ModelProto:
        made = _model([helper.make_node("Mine", ["image", "w"], ["depth"], domain="mine")])
        body = [helper.make_node("Conv", ["a", "b"], ["c"], domain=inside)]
        opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid(inside, 1)] if inside else [])]
        made.functions.append(helper.make_function("mine", "Mine", ["a", "b"], ["c"], body, opsets))
        made.opset_import.append(helper.make_opsetid("mine", 1))
        return made

    assert open_onnx(_saved(model(""), tmp_path / "good.onnx")).run(None, {"image": IMAGE})[0].max() == 3
    with pytest.raises(WeightsError, match="calls 'other:Conv'"):
        open_onnx(_saved(model("other"), tmp_path / "bad.onnx"))
    taken = model("")
    for part in (*taken.functions, *taken.graph.node):
        part.domain = "com.microsoft"
    with pytest.raises(WeightsError, match=r"calls 'com\.microsoft:Mine'"):
        open_onnx(_saved(taken, tmp_path / "taken.onnx"))


def _change(**values: Any) -> Callable[[TensorProto], None]:
    def change(tensor: TensorProto) -> None:
        for key, value in values.items():
            if key == "dims":
                del tensor.dims[:]
                tensor.dims.extend(value)
            else:
                setattr(tensor, key, value)

    return change


@pytest.mark.usefixtures("never")
@pytest.mark.parametrize(
    "change",
    [
        _change(dims=[1 << 40, 3, 1, 1]), _change(dims=[1, 3, 1, 2]), _change(dims=[-1, 3, 1, 1]),
        _change(raw_data=b""),
        _change(data_type=99), _change(data_type=TensorProto.DOUBLE), _change(dims=[1 << 62] * 4),
    ],
)  # fmt: skip
def test_tensors_that_are_not_what_they_declare_are_refused(
    tmp_path: Path, change: Callable[[TensorProto], None]
) -> None:
    tensor = numpy_helper.from_array(WEIGHT, "w")
    change(tensor)
    _refused(_saved(_model(weights=[tensor]), tmp_path / "net.onnx"), "declares 'w'")


@pytest.mark.usefixtures("never")
def test_sparse_weights_long_metadata_and_other_files_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sparse = _model()
    values = numpy_helper.from_array(np.ones(1, np.float32), "s")
    places = numpy_helper.from_array(np.zeros(1, np.int64))
    sparse.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [1 << 40]))
    _refused(_saved(sparse, tmp_path / "sparse.onnx"), "only some are written")
    long = _model()
    helper.set_model_props(long, {"licence": "x" * (1 << 21)})
    _refused(_saved(long, tmp_path / "long.onnx"), "1 MiB of metadata")
    (tmp_path / "text.onnx").write_bytes(b"\x08\xff" * 99)
    _refused(tmp_path / "text.onnx", "no ONNX file that can be run")
    (tmp_path / "lfs.onnx").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    _refused(tmp_path / "lfs.onnx", "no file with content|Git LFS")
    monkeypatch.setattr(onnx_file, "LIMIT", 20)
    _refused(_saved(_model(), tmp_path / "net.onnx"), "more than the 2 GiB")


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.INT64])
def test_every_way_of_writing_values_passes(tmp_path: Path, kind: int) -> None:
    listed = helper.make_tensor("x", kind, [2, 2], [1, 2, 3, 4])
    packed = helper.make_tensor("y", TensorProto.INT4, [3], [1, 2, 3])
    words = helper.make_tensor("z", TensorProto.STRING, [2], [b"a", b"b"])
    empty = helper.make_tensor("e", kind, [0], [])
    weights = [numpy_helper.from_array(WEIGHT, "w"), listed, packed, words, empty]
    path = _saved(_model(weights=weights), tmp_path / "net.onnx")
    assert set(onnx_file.read_onnx(path).beside) == set()


def test_metadata_that_says_nothing_sensible_is_one_line(tmp_path: Path) -> None:
    for bounds in ("[0.1, NaN]", "[0, 1e999]", "[" * 100_000, "[1" + "0" * 400 + ", 2]", "[9, 1]", '["a", "b"]'):
        model = _model()
        helper.set_model_props(model, {"depth_kind": "metric", "depth_range": bounds, "extra": "[" * 100_000})
        with pytest.raises(WeightsError, match="what its numbers mean") as caught:
            load_exported(_saved(model, tmp_path / "net.onnx"))
        assert len(str(caught.value)) < 600
    helper.set_model_props(model, {"depth_kind": "metric", "depth_range": "[0.1, 9]", "extra": "[" * 100_000})
    assert load_exported(_saved(model, tmp_path / "net.onnx"))(torch.ones(1, 3, 4, 5)).depth.max() == 3


@pytest.mark.parametrize("place", ["name", "metadata", "dimension"])
def test_texts_that_are_no_utf8_are_one_line(tmp_path: Path, place: str) -> None:
    model = _model()
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "mark" if place == "dimension" else "h"
    helper.set_model_props(model, {"depth_kind": "metric", "note": "mark" if place == "metadata" else "x"})
    if place == "name":
        model.graph.output[0].name = model.graph.node[0].output[0] = "mark"
    path = _saved(model, tmp_path / "net.onnx")
    path.write_bytes(path.read_bytes().replace(b"mark", b"m\xffrk"))
    with pytest.raises(WeightsError) as caught:
        load_exported(path)
    assert "\n" not in str(caught.value)


def test_an_image_without_its_batch_is_refused(tmp_path: Path) -> None:
    model = _model()
    del model.graph.input[0].type.tensor_type.shape.dim[0]
    with pytest.raises(WeightsError, match=r"not images|can be run"):
        load_exported(_saved(model, tmp_path / "net.onnx"))
