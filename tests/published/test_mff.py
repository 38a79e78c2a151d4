from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from golden import Golden, count, off
from published_checks import check_exports
from torch import nn

import kdcli
from kdcli.errors import WeightsError
from kdcli.plugins import registry
from kdcli.testing import check_student, check_teacher

VARIANTS = [("resnet34", "hu_mff_resnet34", 21_918_977), ("mobilenet_v2", "hu_mff_mobilenetv2", 1_673_905)]
TAPS = {"module:network.MFF.up1": "MFF.up1", "module:network.MFF.up4": "MFF.up4", "module:network.MFF.bn": "MFF.bn",
        "module:network.R.bn0": "R.bn0"}
ENDS = {"resnet34": ("E.layer1", "E.layer4"), "mobilenet_v2": ("E.mv2.3", "E.mv2.16")}


@pytest.mark.parametrize(("backbone", "folder", "parameters"), VARIANTS)
def test_the_authors_numbers(
    golden: Callable[[str], Golden], tmp_path: Path, backbone: str, folder: str, parameters: int
) -> None:
    known = golden(folder)
    file = known.save(tmp_path / "net.pth.tar", lambda state: {
        "state_dict": {f"module.{key}": tensor for key, tensor in state.items()}, "epoch": 20,
    })
    model = kdcli.load_model(f"teacher:mff:{file}")
    assert count(model) == parameters == known.meta["parameters"]
    assert len(model.network.state_dict()) == len(known.keys)  # type: ignore[union-attr,arg-type,operator]
    first, last = ENDS[backbone]
    known.check(model, {"enc1": first, "enc4": last, **TAPS})
    assert f"backbone={backbone}" in str(model.architecture)


def test_every_statistics_layer_that_the_data_free_loss_needs_is_there() -> None:
    student = registry.build("student", "mff")
    assert sum(isinstance(module, nn.BatchNorm2d) for module in student.modules()) == 36 + 6


def test_another_size_than_the_authors_gets_depth_at_its_own(golden: Callable[[str], Golden], tmp_path: Path) -> None:
    known = golden("hu_mff_mobilenetv2")
    model = kdcli.load_model(f"teacher:mff:{known.save(tmp_path / 'net.pth')}")
    image = torch.nn.functional.interpolate(known.image(), size=(120, 170), mode="bilinear")
    with torch.no_grad():
        depth = model(image).depth
        bare = model.network(model.normalise(image))  # type: ignore[operator]
    assert depth.shape == (1, 1, 120, 170)
    wanted = torch.nn.functional.interpolate(bare, size=(120, 170), mode="bilinear", align_corners=True)
    assert off(depth, wanted.numpy()) < 1e-6


def test_conforms(golden: Callable[[str], Golden], tmp_path: Path) -> None:
    check_student("mff")
    check_student("mff,backbone=mobilenet_v2")
    check_teacher(f"mff:{golden('hu_mff_mobilenetv2').save(tmp_path / 'net.pth')}")


def test_the_file_tells_the_backbone(golden: Callable[[str], Golden], tmp_path: Path) -> None:
    file = golden("hu_mff_mobilenetv2").save(tmp_path / "net.pth")
    model = registry.build("student", f"mff:{file},max_depth=8")
    assert model.architecture == "mff,backbone=mobilenet_v2,max_depth=8"
    assert model.depth_range == (0.0, 8.0)
    copy = registry.build("student", model.architecture)
    copy.load_state_dict(model.state_dict())
    with pytest.raises(WeightsError, match=r"holds MFF on mobilenet_v2, not on resnet34; leave out backbone=resnet34"):
        registry.build("teacher", f"mff:{file},backbone=resnet34")


def test_without_a_file_it_is_resnet34() -> None:
    assert registry.build("student", "mff").architecture == "mff,backbone=resnet34,max_depth=10"
    with pytest.raises(WeightsError, match="mff-resnet34-nyu"):
        registry.build("teacher", "mff")
    with pytest.raises(WeightsError, match="mff-mobilenetv2-nyu"):
        registry.build("teacher", "mff,backbone=mobilenet_v2")


@pytest.mark.parametrize(("extra", "message"), [
    ({"D.conv.weight": torch.zeros(1)}, r"a tensor that MFF on resnet34 does not have: D\.conv\.weight; give one of"),
    ({}, r"does not fit MffNet: \d+ missing"),
])
def test_foreign_files_are_refused(tmp_path: Path, extra: dict[str, torch.Tensor], message: str) -> None:
    torch.save({"E.conv1.weight": torch.zeros(64, 3, 7, 7), **extra}, tmp_path / "net.pth")
    with pytest.raises(WeightsError, match=message):
        registry.build("teacher", f"mff:{tmp_path / 'net.pth'}")


def test_a_file_of_no_known_backbone_is_refused(tmp_path: Path) -> None:
    torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "net.pth")
    with pytest.raises(WeightsError, match=r"is no checkpoint of MFF: none of E\.conv1\.weight, E\.mv2"):
        registry.build("teacher", f"mff:{tmp_path / 'net.pth'}")


@pytest.mark.parametrize("backbone", ["resnet34", "mobilenet_v2"])
def test_exports(tmp_path: Path, backbone: str) -> None:
    check_exports(f"mff,backbone={backbone}", tmp_path)
