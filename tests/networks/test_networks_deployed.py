from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from torch import Tensor, nn

import kdcli
from kdcli.errors import ConfigError, PluginError
from kdcli.networks.deployed import deployed
from kdcli.networks.pyramid import PyramidNet
from kdcli.testing import ToyDepth
from kdcli.types import Prediction


class Twin(nn.Module):
    """Two convolutions side by side, which are one afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, feature: Tensor) -> Tensor:
        return self.one(feature) + self.other(feature)  # type: ignore[no-any-return]

    @torch.no_grad()
    def deployed(self) -> nn.Module:
        self.one.weight += self.other.weight
        self.one.bias += self.other.bias  # type: ignore[operator]
        return self.one


class Branched(ToyDepth):
    """A network with such a module in a list, and a layer that only has the name of the method."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleList([nn.Sequential(part)])
        self.parts[0].deployed = nn.Identity()  # type: ignore[assignment]
        self.provenance = None

    def forward(self, image: Tensor) -> Prediction:
        return super().forward(torch.sigmoid(self.parts[0](image)))


class Itself(ToyDepth):
    """A network that speaks for itself."""

    def deployed(self) -> Any:
        return nn.Sequential(self)


class Wrong(Twin):
    def deployed(self) -> nn.Module:
        return self.one


class Numbers(Twin):
    def deployed(self) -> Any:
        return self.state_dict()


def test_a_network_without_another_form_is_itself() -> None:
    model = ToyDepth()
    assert deployed(model) is model


def test_modules_inside_are_replaced_and_the_network_is_left() -> None:
    model = Branched(Twin()).train()
    before = copy.deepcopy(model.state_dict())
    form = deployed(model)
    assert isinstance(form, Branched) and not form.training and model.training
    assert isinstance(form.parts[0][0], nn.Conv2d) and isinstance(model.parts[0][0], Twin)  # type: ignore[index]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    image = torch.rand(1, 3, 32, 48)
    with torch.no_grad():
        torch.testing.assert_close(form(image).depth, model.eval()(image).depth)


def test_a_network_speaks_for_what_is_inside() -> None:
    model = Itself()
    model.inner = Numbers()  # type: ignore[assignment]
    form = deployed(model)
    assert isinstance(form, nn.Sequential) and form[0] is not model


def test_what_is_no_module_is_refused() -> None:
    with pytest.raises(PluginError, match=r"Numbers\.deployed\(\) gives OrderedDict, no module"):
        deployed(Branched(Numbers()))


def test_a_file_holds_that_form(tmp_path: Path) -> None:
    model = Branched(Twin()).eval()
    report = kdcli.export(model, "onnx", tmp_path / "net.onnx", size=(32, 48))
    assert report.worst is not None and report.worst.relative < 1e-5
    kernels = [list(one.dims) for one in onnx.load(tmp_path / "net.onnx").graph.initializer]
    assert kernels.count([3, 3, 3, 3]) == 1
    written = kdcli.load_model(tmp_path / "net.onnx").card
    assert written["parameters"] == sum(p.numel() for p in model.parameters()) - (3 * 3 * 9 + 3)  # type: ignore[index]


def test_a_form_that_is_another_function_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="drifts from the model"):
        kdcli.export(Branched(Wrong()).eval(), "onnx", tmp_path / "net.onnx", size=(32, 48))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("backbone", "fewer"), [
    ("mobileone_s0", True), ("repvgg_a0", True), ("repvit_m0_9", True), ("fastvit_t8", True), ("repghostnet_050", True),
    ("mobilenetv2_035", False),
])
def test_backbones_with_branches(backbone: str, fewer: bool) -> None:
    torch.manual_seed(0)
    model = PyramidNet(backbone)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    form, image = deployed(model.eval()), torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        for wanted, given in zip(model.backbone(image), form.backbone(image), strict=True):  # type: ignore[operator]
            assert (given - wanted).abs().max() <= 1e-4 * wanted.abs().max()
        torch.testing.assert_close(form(image).depth, model(image).depth)
    assert (len(form.state_dict()) < len(model.state_dict())) is fewer
