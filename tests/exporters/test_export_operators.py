"""What kdcli's networks export to stays within the list of operators that its loader allows."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch

from kdcli.exporters.formats.pt2 import Pt2Exporter, Pt2File
from kdcli.exporters.trace import WithSpread
from kdcli.guard.operators import PURE
from kdcli.plugins import registry

LIGHT = ("mobilenet", "timm:resnet18")
HEAVY = ("guidedepth,size=s", "depthformer,backbone=swin-t", "timm:efficientvit_b0")
"""Those whose sizes are computed in the longest ways; that the others' operators are allowed is held beside them."""



def _loads(spec: str, path: Path, *, dynamic: bool, spread: bool = False) -> None:
    torch.manual_seed(0)
    built = registry.build("student", spec).eval()
    model = WithSpread(built) if spread else built
    facts = {"depth_kind": "metric", "depth_range": "[0.1, 9.0]"}
    if spread:
        facts["outputs"] = '["depth", "std", "entropy"]'
    Pt2Exporter().export(model, path, size=(96, 128), dynamic=dynamic, metadata=facts)
    image = torch.rand(1, 3, 128, 160) if dynamic else torch.rand(1, 3, 96, 128)
    with torch.no_grad():
        assert torch.allclose(Pt2File(path)(image), built(image).depth, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("spec", "dynamic"), [(LIGHT[0], True), (LIGHT[0], False), (LIGHT[1], True)])
def test_light_students_load(spec: str, dynamic: bool, tmp_path: Path) -> None:
    _loads(spec, tmp_path / "net.pt2", dynamic=dynamic)


@pytest.mark.slow
@pytest.mark.parametrize("spec", HEAVY)
def test_heavy_ones_load(spec: str, tmp_path: Path) -> None:
    _loads(spec, tmp_path / "net.pt2", dynamic=True)


def test_with_uncertainty_they_load(tmp_path: Path) -> None:
    _loads("mobilenet,head=bins", tmp_path / "net.pt2", dynamic=True, spread=True)


def test_every_operator_of_the_list_is_there_and_has_no_effect() -> None:
    """None takes a path, an object or a function, and none writes into what the graph did not make."""
    missing = []
    for name in sorted(n for n in PURE if n.startswith("torch.ops.aten.")):
        base, overload = name.removeprefix("torch.ops.aten.").split(".")
        packet = getattr(torch.ops.aten, base, None)
        if packet is None or overload not in packet.overloads():
            missing.append(name)
            continue
        schema = getattr(packet, overload)._schema
        kinds = {str(argument.type) for argument in schema.arguments}
        assert not any("Any" in k or "Object" in k or "Storage" in k or "Stream" in k for k in kinds), (name, kinds)
        assert base.endswith("_") or not schema.is_mutable, name
        assert not any(argument.is_out for argument in schema.arguments), name
    assert len(missing) < 5, missing  # versions of torch differ by a few


@pytest.mark.parametrize(
    "name",
    [
        "from_file", "save", "set_", "resize_", "as_strided", "record_stream", "_print", "warn", "format",
        "as_tensor", "Int",
        "_cuda_getCurrentRawStream", "open", "dequantize", "to_sparse", "_thnn_fused_lstm_cell", "empty",
        "rand", "item",
    ],
)  # fmt: skip
def test_operators_with_effects_or_raw_memory_are_not_on_it(name: str) -> None:
    assert not any(one.startswith(f"torch.ops.aten.{name}.") for one in PURE)


def test_names_are_whole_and_of_known_rooms() -> None:
    rooms = ("torch.ops.aten.", "torch.ops.higher_order.wrap_with_", "_operator.", "math.", "torch.sym_", "torch._sym_")
    assert all(name.startswith(rooms) for name in PURE)
    assert len(PURE) > 250


def test_the_members_are_those_of_torch(tmp_path: Path) -> None:
    """Should torch rename one, its exports would be refused: then the list of names has to grow."""
    path = tmp_path / "net.pt2"
    Pt2Exporter().export(
        registry.build("student", "mobilenet,width=0.5").eval(), path, size=(32, 64), dynamic=False, metadata={}
    )
    names = {name.partition("/")[2] for name in zipfile.ZipFile(path).namelist()}
    assert {"models/model.json", "data/weights/model_weights_config.json", "extra/kdcli.json"} <= names
    Pt2File(path)
