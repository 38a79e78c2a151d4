"""What a ``.pt2`` file may hold. The stand-ins for foreign code are names and prints; none of them is ever run."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kdcli.errors import WeightsError
from kdcli.exporters import load_exported
from kdcli.exporters.formats.pt2 import Pt2Exporter
from kdcli.guard.archive import read_archive
from kdcli.types import DepthKind, Prediction

FACTS = {"depth_kind": "metric", "depth_range": "[0.1, 9.0]"}


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 3, stride=2, padding=1)

    def forward(self, image: Tensor) -> Prediction:
        return Prediction(depth=self.conv(image).exp(), kind=DepthKind.METRIC)


class _Foreign:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("this must never run",))


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("good") / "net.pt2"
    Pt2Exporter().export(_Net().eval(), path, size=(32, 48), dynamic=True, metadata=FACTS)
    return path


def _with(
    path: Path, target: Path, change: Callable[[str, bytes], bytes] = lambda _, data: data, *,
    extra: dict[str, bytes] | None = None, packed: int = zipfile.ZIP_STORED,
) -> Path:  # fmt: skip
    """Copy an archive with members changed, and others added behind them."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w", packed) as new:
        root = old.namelist()[0].partition("/")[0]
        for name in old.namelist():
            new.writestr(name, change(name.partition("/")[2], old.read(name)))
        for name, data in (extra or {}).items():
            new.writestr(f"{root}/{name}", data)
    return target


def _foreign() -> bytes:
    stream = io.BytesIO()
    torch.save(_Foreign(), stream)
    return stream.getvalue()


def _set(member: str, key: str, value: object) -> Callable[[str, bytes], bytes]:
    """Set the first value found at a key, wherever it is."""

    def change(name: str, data: bytes) -> bytes:
        if name != member:
            return data
        document = json.loads(data)
        todo: list[Any] = [document]
        while todo:
            one = todo.pop()
            if isinstance(one, dict):
                if key in one:
                    one[key] = value
                    return json.dumps(document).encode()
                todo += one.values()
            elif isinstance(one, list):
                todo += one
        raise AssertionError(f"nothing to change at {key}")

    return change


def _graph(**values: object) -> Callable[[str, bytes], bytes]:
    """Set a value of the graph's first node."""

    def change(name: str, data: bytes) -> bytes:
        if name != "models/model.json":
            return data
        document = json.loads(data)
        document["graph_module"]["graph"]["nodes"][0].update(values)
        return json.dumps(document).encode()

    return change


def _inputs(*more: object) -> Callable[[str, bytes], bytes]:
    """Add inputs to the graph."""

    def change(name: str, data: bytes) -> bytes:
        if name != "models/model.json":
            return data
        document = json.loads(data)
        document["graph_module"]["graph"]["inputs"] += more
        return json.dumps(document).encode()

    return change


def _refused(bad: Path, reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(bad.parent.iterdir())
    with pytest.raises(WeightsError, match=reason) as caught:
        load_exported(bad)
    assert "\n" not in str(caught.value) and str(bad) in str(caught.value)
    assert "never run" not in "".join(capsys.readouterr())
    assert sorted(bad.parent.iterdir()) == before  # nothing is written


def test_our_own_files_are_plain(good: Path) -> None:
    archive, notes = read_archive(good)
    assert notes == FACTS
    assert torch.export.load(archive).graph_signature.user_inputs == ("image",)
    assert load_exported(good)(torch.rand(1, 3, 40, 60)).depth.shape == (1, 1, 20, 30)


def test_a_file_that_was_packed_again_still_opens(good: Path, tmp_path: Path) -> None:
    again = _with(good, tmp_path / "again.pt2", packed=zipfile.ZIP_DEFLATED)
    image = torch.rand(2, 3, 40, 60)
    assert torch.equal(load_exported(again)(image).depth, load_exported(good)(image).depth)


def test_torch_reads_nothing_that_was_not_inspected(good: Path, tmp_path: Path) -> None:
    """Its notes for people and its sample inputs are left out, whatever they are."""
    noted = _with(good, tmp_path / "noted.pt2", _graph(metadata={"source_fn_stack": "x,torch.load", "custom": "{"}))
    sampled = _with(noted, tmp_path / "both.pt2", lambda n, d: _foreign() if "sample_inputs" in n else d)
    archive, _ = read_archive(sampled)
    with zipfile.ZipFile(archive) as members:
        assert not any(b"torch.load" in members.read(n) or b"never run" in members.read(n) for n in members.namelist())
    assert load_exported(sampled)(torch.rand(1, 3, 40, 60)).depth.shape == (1, 1, 20, 30)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_set("data/weights/model_weights_config.json", "use_pickle", True), "pickled"),
        (_set("data/weights/model_weights_config.json", "path_name", "../../models/model.json"), "outside of itself"),
        (_set("data/weights/model_weights_config.json", "path_name", "weight_77"), "outside of itself"),
        (_set("data/weights/model_weights_config.json", "sizes", [{"as_int": 1 << 40}]), "damaged|declares"),
        (_set("data/weights/model_weights_config.json", "storage_offset", {"as_int": 1 << 30}), "declares 'model.conv"),
        (_set("data/weights/model_weights_config.json", "storage_offset", {"as_int": -4}), "no whole numbers"),
        (_graph(target="torch.load"), "calls 'torch.load'"),
        (_graph(target="torch.ops.aten.from_file.default"), "calls 'torch.ops.aten.from_file.default'"),
        (_graph(target="torch.ops.aten.save.default"), "calls 'torch.ops.aten.save"),
        (_graph(target="torch.ops.aten.conv2d.default.redispatch"), "calls 'torch.ops.aten.conv2d.default.red"),
        (_graph(target="torch.ops.mine.add.Tensor"), "calls 'torch.ops.mine"),
        (_graph(target="#mine:add"), "calls '#mine:add'"),
        (_graph(name="a = print('never run') #"), "where a name belongs"),
        (_graph(name="__import__.x"), "where a name belongs"),
        (_set("models/model.json", "arg", {"as_sym_int": {"as_name": "x;y"}}), "where a name belongs"),
        (_set("models/model.json", "parameter_name", "model.__class__.weight"), "where a name belongs"),
        (_set("models/model.json", "parameter_name", 'conv"), print("never run'), "where a name belongs"),
        (_set("models/model.json", "expr_str", "exec(chr(112))"), "computes a dimension"),
        (_set("models/model.json", "guards_code", ["print('never run')"]), "has the condition"),
        (_set("models/model.json", "guards_code", ["True, 'x'); print('never run'"]), "has the condition"),
        (_set("models/model.json", "in_spec", '[1, {"type": "os", "context": null, "children_spec": []}]'), "the kind"),
        (_set("models/model.json", "forward_arg_names", ["image=print('never run')"]), "where a name belongs"),
        (_inputs({"as_string": "x' or print('never run') or '"}), "not an image"),
        (_inputs({"as_string": "depth"}), "takes as_string"),
        (_set("models/model.json", "input_specs", [{"constant_input": {"name": "x", "value": {}}}]), "not an image"),
        (_set("models/model.json", "min_val", "print.x"), "where a number belongs"),
        (_set("models/model.json", "arg", {"as_string": "' + print('never run') + '"}), "where a name belongs"),
        (_set("models/model.json", "verifiers", ["mine"]), "where a name belongs"),
        (_set("models/model.json", "range_constraints", {"u99999999999": {"min_val": 0, "max_val": 9}}), "dimension"),
        (_set("models/model.json", "device", {"type": "privateuse", "index": 0}), "where a name belongs"),
        (_set("models/model.json", "arg", {"as_operator": "torch.load"}), "an operator as an argument"),
        (_set("models/model.json", "arg", {"as_custom_obj": {"name": "x", "class_fqn": "y"}}), "a foreign object"),
        (_set("models/model.json", "sizes", [{"as_int": 10**30}]), "beyond all sizes"),
        (lambda n, d: b"[" * 200_000 if n == "models/model.json" else d, "damaged"),
        (lambda n, d: b"\xff\xfe" if n == "models/model.json" else d, "damaged"),
        (lambda n, d: b'{"depth_kind": 3}' if n == "extra/kdcli.json" else d, "other metadata than texts"),
    ],
)  # fmt: skip
def test_what_could_act_is_refused(
    good: Path, tmp_path: Path, change: Callable[[str, bytes], bytes], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _refused(_with(good, tmp_path / "bad.pt2", change), reason, capsys)


@pytest.mark.parametrize(
    "name",
    [
        "data/constants/custom_obj_0", "data/constants/opaque_obj_0", "data/aotinductor/model/x.so",
        "data/weights/model.pt",
        "data/weights/weight_0.so", "data/executorch/x.pte", "extra/other.json", "extra/../../outside",
        "models/second.json",
        "Models/model.json", "models/MODEL.json", "models\\model.json", "models//model.json", "\uff4dodels/model.json",
        "data/weights/weight_\u0663", "serialized_exported_program.json",
    ],
)  # fmt: skip
def test_a_member_that_no_export_has_is_refused(
    good: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _refused(_with(good, tmp_path / "bad.pt2", extra={name: _foreign()}), "which no export of kdcli does", capsys)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["models/model.json", "data/weights/weight_0", "byteorder"])
def test_a_member_that_is_there_twice_is_refused(
    good: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _refused(_with(good, tmp_path / "bad.pt2", extra={name: b"{}"}), f"holds '{name}' twice", capsys)


def test_a_second_root_is_refused(good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = _with(good, tmp_path / "bad.pt2")
    with zipfile.ZipFile(bad, "a") as archive:
        archive.writestr("other/models/model.json", "{}")
    _refused(bad, "which no export of kdcli does", capsys)


def test_no_more_is_unpacked_than_was_announced_and_allowed(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    zeros = bytes(1 << 28)  # packs to 260 kB
    bomb = _with(
        good, tmp_path / "bomb.pt2", lambda n, d: zeros if n == "data/weights/weight_0" else d,
        packed=zipfile.ZIP_DEFLATED,
    )  # fmt: skip
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_, **__: pytest.fail("it was unpacked"))
    _refused(bomb, "unpack to", capsys)


def test_a_document_beyond_all_exports_is_not_unpacked(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = b'"' + b" " * (1 << 27) + b'"'
    bad = _with(good, tmp_path / "bad.pt2", lambda n, d: long if n == "extra/kdcli.json" else d)
    _refused(bad, "says that 'extra/kdcli.json' has", capsys)


@pytest.mark.parametrize("shift", [-10, 10])
def test_a_size_that_lies_is_found(
    good: Path, tmp_path: Path, shift: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """The directory announces another size than the packed bytes have."""
    bad = _with(good, tmp_path / "bad.pt2", packed=zipfile.ZIP_DEFLATED)
    data = bytearray(bad.read_bytes())
    at = data.rindex(b"/models/model.json") - len("net")
    entry = data.rindex(b"PK\x01\x02", 0, at)
    (size,) = struct.unpack_from("<I", data, entry + 24)
    struct.pack_into("<I", data, entry + 24, size + shift)
    bad.write_bytes(data)
    _refused(bad, "damaged", capsys)


def test_an_archive_with_damaged_packing_is_one_line(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = _with(good, tmp_path / "bad.pt2", packed=zipfile.ZIP_DEFLATED)
    data = bytearray(bad.read_bytes())
    for at in range(200, 2000, 7):
        data[at] ^= 0x55
    bad.write_bytes(data)
    _refused(bad, "damaged|which no export|export", capsys)


@pytest.mark.parametrize("said", ['["depth", "std", "entropy"]', '["std"]', '"depth"', "[", "[[[", "3"])
def test_outputs_that_the_program_does_not_give_are_refused(good: Path, tmp_path: Path, said: str) -> None:
    notes = json.dumps({**FACTS, "outputs": said}).encode()
    bad = _with(good, tmp_path / "bad.pt2", lambda n, d: notes if n == "extra/kdcli.json" else d)
    with pytest.raises(WeightsError, match="outputs") as caught:
        load_exported(bad)
    assert "\n" not in str(caught.value)
