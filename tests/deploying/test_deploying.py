"""Images to calibrate on without data, and what a file costs in accuracy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from kdcli.deploying import images
from kdcli.deploying.cost import measured
from kdcli.deploying.images import TRANSFORM, rendered, simulated, transform_of
from kdcli.errors import WeightsError
from kdcli.exporters import export
from kdcli.sources import load_source
from kdcli.students.files import save_student
from kdcli.testing import ToyDepth
from kdcli.transform.files import save
from kdcli.transform.network import TransformNetwork
from kdcli.types import MadeFor

SIZE = (32, 48)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "CALIBRATE", 3)
    monkeypatch.setattr(images, "JUDGE", 2)


class Made(nn.Module):
    def __init__(self, made_for: MadeFor | None) -> None:
        super().__init__()
        self.made_for = made_for


def test_scenes_are_those_of_its_training_and_others_of_its_own_world() -> None:
    made = MadeFor(domain="indoor", transfer="sim:blocks,count=40", test="sim:rooms,count=20,seed=1000")
    shown = simulated(Made(made), "teacher:demo", SIZE)
    assert torch.equal(shown.calibrate, rendered("sim:blocks", range(3), SIZE))
    assert torch.equal(shown.judge, rendered("sim:rooms,seed=1000", range(2), SIZE))
    assert shown.told == "3 scenes of sim:blocks,count=40" and shown.calibrate.shape[-2:] == SIZE


@pytest.mark.parametrize("made", [None, MadeFor(domain="driving")])
def test_without_a_test_world_further_scenes_are_judged_on(made: MadeFor | None) -> None:
    shown = simulated(Made(made), "teacher:demo", SIZE)
    world = "sim:interiors" if made is None else "sim:streets"
    assert torch.equal(shown.judge, rendered(world, range(3, 5), SIZE)) and world in shown.told


def test_the_transformation_of_the_run_is_applied(tmp_path: Path) -> None:
    save_student(tmp_path / "student.safetensors", ToyDepth(), "toy", {})
    assert transform_of(str(tmp_path)) is None
    torch.manual_seed(0)
    network = TransformNetwork(form="residual", width=4)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    save(network, tmp_path / TRANSFORM, {})
    plain = simulated(Made(None), "teacher:demo", SIZE)
    shown = simulated(Made(None), str(tmp_path), SIZE)
    with torch.no_grad():
        wanted = network.eval()(plain.calibrate).clamp(0, 1)
    assert torch.allclose(shown.calibrate, wanted) and not torch.allclose(wanted, plain.calibrate, atol=1e-3)
    assert not torch.equal(shown.judge, plain.judge) and "transformed" in shown.told
    shutil.copy(tmp_path / "student.safetensors", tmp_path / TRANSFORM)
    with pytest.raises(WeightsError, match="not a transformation network"):
        simulated(Made(None), str(tmp_path), SIZE)


def test_the_change_of_accuracy_is_paired_and_has_an_interval(tmp_path: Path) -> None:
    net = ToyDepth().eval()
    path = export(net, "onnx", tmp_path / "t.onnx").path
    source = load_source("sim:rooms,count=6")
    found = measured(net, path, source, "sim:rooms,count=6")
    assert found["n"] == 6 and found["protocol"] == "plain"
    assert found["change"]["abs_rel"] == pytest.approx(0, abs=1e-5)
    assert found["model"]["abs_rel"] == pytest.approx(found["file"]["abs_rel"], abs=1e-5)
    low, high = found["ci95"]["abs_rel"]
    assert low <= found["change"]["abs_rel"] <= high
