from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from golden import TOLERANCE, Golden, count, off
from published_checks import check_exports
from torch import nn

import kdcli
from kdcli.errors import WeightsError
from kdcli.exporters.trace import trace
from kdcli.networks import ddrnet
from kdcli.networks.guidedepth import to_depth
from kdcli.plugins import registry
from kdcli.testing import check_student, check_teacher

VARIANTS = [("full", "guidedepth", 5_824_513), ("s", "guidedepth_s", 5_723_273)]


@pytest.mark.parametrize(("size", "folder", "parameters"), VARIANTS)
def test_the_authors_numbers(
    golden: Callable[[str], Golden], tmp_path: Path, size: str, folder: str, parameters: int
) -> None:
    known = golden(folder)
    file = known.save(tmp_path / "NYU_Full.pth")
    model = kdcli.load_model(f"teacher:guidedepth:{file}")
    assert count(model) == parameters == known.meta["parameters"]
    assert set(model.network.state_dict()) == set(known.keys)  # type: ignore[union-attr,operator]
    with torch.no_grad():
        raw = model.network(known.image())  # type: ignore[operator]
    assert off(raw, known.output["raw"]) < TOLERANCE
    # No network of random weights stays between 1 and 100, as trained ones do: what is outside counts as its end.
    vars(known)["output"] = {**known.output, "depth": 10 / known.output["raw"].clip(1, 100)}
    known.check(model, {"dec1": "feature_extractor", "dec2": "up_1", "dec3": "up_2"})
    assert model.architecture == f"guidedepth,size={size},max_depth=10"
    assert model.depth_range == (0.1, 10.0)


def test_gradients_of_the_authors(golden: Callable[[str], Golden], tmp_path: Path) -> None:
    known = golden("guidedepth_s")
    network = kdcli.load_model(f"teacher:guidedepth:{known.save(tmp_path / 'net.pth')}").network
    assert isinstance(network, nn.Module)
    network.double().requires_grad_(True)(known.image().double()).mean().backward()
    for name, norm in json.loads((known.folder / "gradient.json").read_text())["norms"].items():
        gradient = network.get_parameter(name).grad
        assert gradient is not None and float(gradient.norm()) == pytest.approx(norm, rel=1e-4, abs=1e-12), name


def test_depth_is_read_as_the_authors_do() -> None:
    raw = torch.tensor([0.5, 1.0, 4.0, 80.0, 100.0, 500.0])
    theirs = np.clip(10 / raw.numpy(), 0.1, 10)
    assert off(to_depth(raw, 10.0), theirs) < 1e-6
    # Where theirs divides by zero or turns to the nearest depth, there is the farthest.
    assert to_depth(torch.tensor([0.0, -3.0]), 80.0).tolist() == [80.0, 80.0]
    assert to_depth(torch.tensor([2.0], dtype=torch.bfloat16), 10.0).dtype == torch.float32


def test_gradients_lead_back_into_the_range() -> None:
    raw = torch.tensor([-3.0, 0.0, 1.0, 4.0, 100.0, 500.0], requires_grad=True)
    depth = to_depth(raw, 10.0)
    with torch.no_grad():
        assert torch.equal(depth, to_depth(raw, 10.0))
    depth.sum().backward()
    assert raw.grad is not None
    assert raw.grad.tolist() == pytest.approx([-10, -10, -10, -0.625, -1e-3, -1e-3])


def test_a_new_network_begins_in_the_middle() -> None:
    torch.manual_seed(0)
    student = registry.build("student", "guidedepth,max_depth=80").train()
    depth = student(torch.rand(2, 3, 64, 96)).depth
    assert 10 < depth.mean() < 40


def test_one_image_can_be_trained_on() -> None:
    student = registry.build("student", "guidedepth,size=s").train()
    student(torch.rand(1, 3, 64, 64)).depth.mean().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in student.parameters())


def test_the_file_tells_size_and_range(golden: Callable[[str], Golden], tmp_path: Path) -> None:
    file = golden("guidedepth_s").save(tmp_path / "KITTI_Half.pth")
    model = registry.build("student", f"guidedepth:{file}")
    assert model.architecture == "guidedepth,size=s,max_depth=80"
    assert model.depth_range == (0.8, 80.0)
    assert registry.build("student", f"guidedepth:{file},max_depth=60").depth_range == (0.6, 60.0)
    copy = registry.build("student", model.architecture)
    copy.load_state_dict(model.state_dict())
    with pytest.raises(WeightsError, match=r"holds GuideDepth of size s, not full; leave out size=full"):
        registry.build("teacher", f"guidedepth:{file},size=full")


@pytest.mark.parametrize(("options", "name"), [
    ("", "guidedepth-nyu"), (",size=s", "guidedepth-s-nyu"), (",max_depth=80", "guidedepth-kitti"),
    (",size=s,max_depth=80", "guidedepth-s-kitti"), (",size=full,max_depth=10", "guidedepth-nyu"),
])
def test_which_weights_a_teacher_looks_for(options: str, name: str) -> None:
    with pytest.raises(WeightsError, match=f"'{name}'"):
        registry.build("teacher", f"guidedepth{options}")


@pytest.mark.parametrize(("state", "message"), [
    ({"conv1.weight": torch.zeros(1)}, r"it has no feature_extractor\.final_layer\.conv2\.weight; give one of mic-rud"),
    ({"feature_extractor.final_layer.conv2.weight": torch.zeros(48, 64, 1, 1)}, "conv2.weight has 48 rows; give one"),
    ({"feature_extractor.final_layer.conv2.weight": torch.zeros(32, 64, 1, 1)}, r"does not fit GuideDepthNet: \d+ mis"),
])
def test_foreign_files_are_refused(tmp_path: Path, state: dict[str, torch.Tensor], message: str) -> None:
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(WeightsError, match=message):
        registry.build("teacher", f"guidedepth:{tmp_path / 'net.pth'}")


def test_conforms(golden: Callable[[str], Golden], tmp_path: Path) -> None:
    check_student("guidedepth")
    check_student("guidedepth,size=s", sizes=((64, 96), (72, 120)))
    check_teacher(f"guidedepth:{golden('guidedepth_s').save(tmp_path / 'net.pth')}")


def test_any_size() -> None:
    student = registry.build("student", "guidedepth,size=s").eval()
    with torch.no_grad():
        assert student(torch.rand(1, 3, 75, 130)).depth.shape == (1, 1, 72, 128)


@pytest.mark.slow
def test_exports(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    check_exports("guidedepth,size=s", tmp_path)
    # The pooled maps, of one pixel in the example that was traced, have more here.
    torch.manual_seed(0)
    model = registry.build("student", "guidedepth,size=s").eval()
    check_at(model, registry.build("exporter", "onnx").load(tmp_path / "student.onnx"))
    assert "Shape mismatch" not in capfd.readouterr().err
    check_at(model, trace(model, (192, 256), dynamic=True).module())


def check_at(model: nn.Module, exported: Callable[[torch.Tensor], torch.Tensor]) -> None:
    image = torch.rand(1, 3, 480, 648)
    with torch.no_grad():
        assert off(exported(image), model(image).depth.numpy()) < 1e-4


def test_resizing_the_kept_pixels_is_pooling_and_resizing() -> None:
    dense = torch.rand(2, 3, 23, 31)
    for stride in (2, 4, 8):
        wanted = nn.functional.interpolate(dense[..., ::stride, ::stride], size=(23, 31), mode="bilinear")
        ours = ddrnet.resize_kept(ddrnet.resize_kept(dense, 2, stride), 3, stride)
        torch.testing.assert_close(ours, wanted)
