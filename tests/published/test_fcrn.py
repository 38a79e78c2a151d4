from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from golden import Golden, count, off
from published_checks import check_exports

import kdcli
from kdcli.errors import WeightsError
from kdcli.plugins import registry
from kdcli.testing import check_student


@pytest.mark.parametrize(("backbone", "parameters"), [("resnet18", 13_681_520), ("resnet50", 63_563_008)])
def test_the_authors_numbers(
    golden: Callable[[str], Golden], tmp_path: Path, backbone: str, parameters: int
) -> None:
    known = golden(f"fcrn_upproj_{backbone}")
    file = known.save(tmp_path / "net.pth", lambda state: {"model": state, "epoch": 3})
    model = kdcli.load_model(f"teacher:fcrn:{file}")
    assert count(model) == parameters == known.meta["parameters"]
    names = set(model.network.state_dict())  # type: ignore[union-attr,operator]
    assert names == set(known.keys)
    known.check(model, {
        "enc1": "layer1", "enc4": "layer4", "module:network.bn2": "bn2", "dec1": "decoder.layer1",
        "dec4": "decoder.layer4",
    })
    with torch.no_grad():
        raw = model.network(known.image())  # type: ignore[operator]
    assert off(raw, known.output["depth_before_resize"]) < 1e-4


def test_conforms() -> None:
    check_student("fcrn,backbone=resnet18")


def test_another_backbones_weights_are_refused(tmp_path: Path) -> None:
    student = registry.build("student", "fcrn,backbone=resnet18")
    torch.save(student.network.state_dict(), tmp_path / "r18.pth")
    with pytest.raises(WeightsError, match=r"holds FCRN on resnet18, not on resnet50"):
        registry.build("teacher", f"fcrn:{tmp_path / 'r18.pth'},backbone=resnet50")


def test_exports(tmp_path: Path) -> None:
    check_exports("fcrn,backbone=resnet18", tmp_path)
