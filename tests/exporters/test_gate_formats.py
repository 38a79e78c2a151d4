"""Wrong files do not pass, whatever their format: each is a sound file, of another network than it should be."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from export_formats import FORMATS, there
from export_nets import Net
from torch import Tensor, nn
from torch.nn import functional

from kdcli.errors import ConfigError
from kdcli.exporters import export, writing
from kdcli.exporters.gate.half import require_half_range
from kdcli.exporters.inputs import TakesBytes
from kdcli.plugins import registry
from kdcli.protocols import Exporter
from kdcli.types import Prediction

SIZE = (64, 96)


class Aligned(Net):
    """Resizes by the corners of pixels."""

    def forward(self, image: Tensor) -> Prediction:
        feature = functional.relu(self.norm(self.down((image - 0.45) / 0.225)))
        feature = functional.interpolate(feature, scale_factor=2, mode="bilinear", align_corners=True)
        return Prediction(depth=functional.softplus(self.out(feature)) + 0.1, kind=self.depth_kind)


@torch.no_grad()
def swapped_colours(net: Net) -> None:
    net.down.weight.copy_(net.down.weight.flip(1))


def another_resize(net: Net) -> None:
    net.__class__ = Aligned


@torch.no_grad()
def not_a_number(net: Net) -> None:
    net.out.bias.fill_(float("nan"))


CHANGES: Mapping[Callable[[Net], None], str] = {
    swapped_colours: "red and blue are swapped", another_resize: "drifts from the model",
    not_a_number: "not finite|drifts from the model",  # what some runtimes make of it is a number
}


class Wrong:
    """Writes another network than it is given."""

    def __init__(self, exporter: Exporter, change: Callable[[Net], None]) -> None:
        self.exporter, self.change = exporter, change
        self.suffix, self.precisions = exporter.suffix, getattr(exporter, "precisions", ("fp32",))

    def export(self, model: nn.Module, path: Path, **more: object) -> None:
        changed = copy.deepcopy(model)
        self.change(changed)  # type: ignore[arg-type]
        self.exporter.export(changed, path, **more)  # type: ignore[arg-type]

    def load(self, path: Path) -> object:
        return self.exporter.load(path)


def cells() -> list[object]:
    found = []
    for form in list(FORMATS)[1:]:  # ONNX is changed in its file, see test_gate
        slow = [pytest.mark.slow(share=0.2)] if form in ("executorch", "litert", "coreml") else []
        found += [pytest.param(form, change, id=f"{form}-{change.__name__}", marks=slow) for change in CHANGES]
    return found


@pytest.mark.parametrize(("form", "change"), cells())
def test_a_file_of_another_network_is_refused(
    form: str, change: Callable[[Net], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there(form)
    wrong = Wrong(registry.build("exporter", form), change)
    monkeypatch.setattr(writing.registry, "build", lambda *_: wrong)
    with pytest.raises(ConfigError, match=CHANGES[change]) as caught:
        export(Net().eval(), form, tmp_path / FORMATS[form][0], size=SIZE)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("form", ["onnx", "openvino", "ncnn"])
def test_what_overflows_in_half_precision_is_refused(form: str, tmp_path: Path) -> None:
    """Run here, the file gives the right numbers: in float32."""
    there(form)
    net = Net().eval()
    with torch.no_grad():
        net.norm.weight.mul_(1e6)
        net.norm.bias.mul_(1e6)
        net.out.weight.mul_(1e-6)
    with pytest.raises(ConfigError, match=r"go up to .* and half precision ends at 65504; .* --precision fp32"):
        export(net, form, tmp_path / FORMATS[form][0], size=SIZE, precision="fp16")
    assert not list(tmp_path.iterdir())


def test_what_a_norm_brings_back_does_not_overflow() -> None:
    net, image = Net().eval(), torch.rand(1, 3, *SIZE)
    with torch.no_grad():
        net.down.weight.mul_(1e7)
        net.norm.running_var.mul_(1e14)
    require_half_range(net, image)
    require_half_range(TakesBytes(net), image)
