from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from kdcli.errors import ConfigError
from kdcli.networks.taps import TapReader, locate
from kdcli.types import Tap


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(4, 5, 1))
        self.pair = Pair()
        self.taps = {
            "enc1": Tap(module="body.1", stride=2, channels=4), "out": Tap(module="body", stride=2, channels=5)
        }

    def forward(self, image: Tensor) -> Tensor:
        first, _ = self.pair(self.body(image))
        return first  # type: ignore[no-any-return]


class Pair(nn.Module):
    def forward(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        return feature + 1, feature


class Text(nn.Module):
    def forward(self, image: Tensor) -> str:
        return "no tensor"


def test_named_taps_and_module_paths_are_read_with_gradient() -> None:
    model, image = Small(), torch.rand(2, 3, 8, 6)
    with TapReader(model, ["enc1", "out", "module:body.2"]) as reader:
        model(image)
    assert reader.features["enc1"].shape == (2, 4, 4, 3)
    assert torch.equal(reader.features["out"], reader.features["module:body.2"])
    assert torch.equal(reader.features["out"], model.body(image))
    reader.features["enc1"].sum().backward()
    weight = model.body.get_submodule("0").weight
    assert isinstance(weight, nn.Parameter) and weight.grad is not None


def test_the_first_of_several_outputs_is_read() -> None:
    model = Small()
    with TapReader(model, ["module:pair"]) as reader:
        out = model(torch.rand(1, 3, 4, 4))
    assert torch.equal(reader.features["module:pair"], out)


def test_a_stride_means_the_last_numbered_tap_of_that_part() -> None:
    model = Small()
    model.taps |= {"enc2": Tap(module="body.2", stride=2, channels=5), "enc3": Tap(module="body", stride=4, channels=5)}
    assert locate(model, "enc@2") is model.body.get_submodule("2") and locate(model, "enc@4") is model.body
    with pytest.raises(ConfigError, match=r"no tap 'enc@8'.* Taps: enc@2, enc@4; or module:PATH$"):
        locate(model, "enc@8")
    with pytest.raises(ConfigError, match="no tap 'out@2'"):  # it has no number
        locate(model, "out@2")


def test_hooks_are_gone_after_the_block_also_after_an_error() -> None:
    model = Small()
    with pytest.raises(RuntimeError, match="stop"), TapReader(model, ["enc1"]) as reader:
        raise RuntimeError("stop")
    model(torch.rand(1, 3, 4, 4))
    assert reader.features == {}
    assert not any(module._forward_hooks for module in model.modules())


def test_a_reader_can_be_entered_again_and_keeps_the_last_pass() -> None:
    model = Small()
    reader = TapReader(model, ["enc1"])
    with reader:
        model(torch.zeros(1, 3, 4, 4))
        model(torch.ones(1, 3, 4, 4))
    expected = model.body[:2](torch.ones(1, 3, 4, 4))
    assert torch.equal(reader.features["enc1"], expected)
    with reader:
        model(torch.zeros(3, 3, 4, 4))
    assert len(reader.features["enc1"]) == 3


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"Small has no tap 'enc2'\. Did you mean 'enc1'\? Taps: enc1, out"):
        TapReader(Small(), ["enc2"])
    with pytest.raises(ConfigError, match=r"Small has no module 'bodi'\. Did you mean 'body'"):
        TapReader(Small(), ["module:bodi"])
    with pytest.raises(ConfigError, match=r"Identity has no tap 'x'\. Taps: none"):
        locate(nn.Identity(), "x")


def test_a_module_without_tensor_is_refused() -> None:
    model = nn.Sequential(Text())
    with pytest.raises(ConfigError, match="tap 'module:0' gives str, not a tensor"), TapReader(model, ["module:0"]):
        model(torch.rand(1, 3, 4, 4))
