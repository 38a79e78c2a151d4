"""Published networks that give disparity or depth without metres, and measured depth: metres where there are any."""

from __future__ import annotations

from pathlib import Path

import pytest

import kdcli
from kdcli.calibration import calibrate
from kdcli.errors import DataError
from kdcli.plugins import registry
from kdcli.sources import load_source
from kdcli.sources.subset import Subset
from kdcli.students.files import save_student
from kdcli.types import DepthKind


def _student(shared: Path, name: str, weights: str, path: Path) -> Path:
    network = registry.build("student", f"{name}:{shared / 'data' / 'weights' / weights}")
    save_student(path, network, name, {"licence": "theirs", "teachers": []})
    return path


def test_disparity_of_a_driving_network_becomes_metres(shared: Path, tmp_path: Path) -> None:
    file = _student(shared, "pydnet", "mobile_pydnet_kitti/mobile_pydnet_kitti_pruned35_dequant.pth",
                    tmp_path / "s.safetensors")
    data = f"kitti:{shared / 'data' / 'kitti'}"
    found = calibrate(file, data, load_source(data), protocol="kitti-garg")
    held = found.choice.held_out[found.choice.name]
    # Trained without metres, on pairs of cameras: up to one factor its disparity is true.
    assert held.delta1 > 0.85 and held.log_l1 < 0.25 * found.choice.held_out["constant"].log_l1
    model = kdcli.load_model(found.out)
    result = kdcli.evaluate({"m": model}, load_source(data), "kitti-garg")["m"]
    assert result.depth_kind is DepthKind.METRIC and result.protocol.alignment == "none" and result.n == 2
    assert result.metrics["delta1"] > 0.85 and result.metrics["abs_rel"] < 0.1


@pytest.mark.slow
def test_depth_that_follows_nothing_stays_without(shared: Path, tmp_path: Path) -> None:
    file = _student(shared, "pydnetpp", "pydnetpp_matterport/pydnetpp_matterport_dequant.pth",
                    tmp_path / "s.safetensors")
    data = f"rgbd:{shared / 'data' / '7scenes_redkitchen'}"
    source = Subset(load_source(data), range(0, 188, 12))
    with pytest.raises(DataError, match="has no common scale"):
        calibrate(file, data, source)
