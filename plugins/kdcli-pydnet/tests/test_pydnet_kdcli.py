"""The networks through kdcli: the conformance kit, evaluation by command's function, export."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import kdcli
from kdcli.errors import ConfigError
from kdcli.evals import Protocol
from kdcli.exporters.trace import DepthOnly, trace
from kdcli.plugins import registry
from kdcli.testing import check_student, check_teacher
from kdcli.weights import save

SPECS = ["pydnet,size=64x128", "pydnetpp,size=64x128", "upydnet", "upydnet,crop=0"]


@pytest.mark.parametrize("spec", SPECS)
def test_students_conform(spec: str) -> None:
    check_student(spec)


@pytest.mark.parametrize("spec", SPECS)
def test_teachers_conform(spec: str, tmp_path: Path) -> None:
    name, comma, options = spec.partition(",")
    save(tmp_path / "net.safetensors", registry.build("student", spec).state_dict(), {})
    check_teacher(f"{name}:{tmp_path / 'net.safetensors'}{comma}{options}")


@pytest.mark.parametrize("name", ["pydnet", "pydnetpp"])
def test_strides_hold_for_native_sizes(name: str) -> None:
    check_student(f"{name},size=native", sizes=((64, 128), (128, 64)))


@pytest.mark.parametrize("spec", ["pydnet,size=64x128", "pydnet,size=native", "pydnetpp,size=64x64", "upydnet,crop=0"])
def test_an_open_size_can_be_traced(spec: str) -> None:
    model = registry.build("student", spec).eval()
    program = trace(model, (150, 210), dynamic=True)
    image = torch.rand(2, 3, 180, 140)
    with torch.no_grad():
        assert torch.allclose(program.module()(image), DepthOnly(model)(image), atol=1e-5)


def test_a_crop_can_only_be_traced_for_one_frame_size() -> None:
    model = registry.build("student", "upydnet").eval()
    with pytest.raises(ConfigError, match="dynamic height and width"):
        trace(model, (70, 100), dynamic=True)
    program, image = trace(model, (375, 1242), dynamic=False), torch.rand(1, 3, 375, 1242)
    with torch.no_grad():
        assert torch.allclose(program.module()(image), model(image).depth, atol=1e-5)


WEIGHTS = {
    "pydnet": "mobile_pydnet_kitti/mobile_pydnet_kitti_pruned35_dequant.pth",
    "upydnet": "upydnet/micro-kitti/from_scratch_48x48lab/upydnet.pth",
}
# Of both frames: (AbsRel, RMSE, delta1), mean of per-image values, and pixels that count.
MEASURED = {
    ("pydnet", "median"): (0.0835, 5.595, 0.884),
    ("pydnet", "scale-shift"): (0.0655, 3.80, 0.943),
    ("upydnet", "median"): (0.040, 3.195, 0.972),
    ("upydnet", "scale-shift"): (0.037, 3.22, 0.974),
}


@pytest.mark.parametrize(("name", "align"), MEASURED)
def test_evaluation_gives_the_reference_numbers(shared: Path, name: str, align: str) -> None:
    data = shared / "data"
    model = kdcli.load_model(f"teacher:{name}:{data / 'weights' / WEIGHTS[name]}")
    source = kdcli.load_source(f"kitti:{data / 'kitti'},gt=only")
    protocol = Protocol(name="reference", min_depth=1e-3, max_depth=80.0)
    result = kdcli.evaluate({name: model}, source, protocol, align=align, batch_size=1)[name]
    document = result.document()
    assert document["n"] == 2 and document["depth_kind"] == "affine_disparity"
    found = tuple(document["metrics"][key] for key in ("abs_rel", "rmse", "delta1"))
    assert found == pytest.approx(MEASURED[name, align], abs=0.03)
    assert found[0] == pytest.approx(MEASURED[name, align][0], abs=0.002)
    assert found[2] == pytest.approx(MEASURED[name, align][2], abs=0.004)
