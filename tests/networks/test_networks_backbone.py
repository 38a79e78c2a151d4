from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from kdcli.errors import SpecError, WeightsError
from kdcli.networks import backbone
from kdcli.networks.backbone import create_backbone, describe


def test_stages_are_described_finest_first() -> None:
    assert describe(create_backbone("mobilenetv2_035", pretrained=False)) == ([8, 8, 16, 32, 112], [2, 4, 8, 16, 32])


def test_an_unknown_model_is_answered_with_the_nearest() -> None:
    with pytest.raises(SpecError, match=r"timm has no model 'resnet19'\. Did you mean 'resnet18'\?"):
        create_backbone("resnet19", pretrained=False)


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "dla34"])
def test_models_without_a_pyramid_for_any_size_are_refused(name: str) -> None:
    with pytest.raises(SpecError, match=f"'{name}' gives no feature pyramid .* use a convolutional one"):
        create_backbone(name, pretrained=False)


class Flat(nn.Module):
    """Gives two features of one stride, as plain transformers do."""

    feature_info = SimpleNamespace(channels=lambda: [3, 3], reduction=lambda: [8, 8])

    def forward(self, image: Tensor) -> list[Tensor]:
        return [image[..., ::8, ::8]] * 2


def test_features_of_equal_strides_are_no_pyramid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timm, "create_model", lambda *args, **options: Flat())
    with pytest.raises(SpecError, match=r"'resnet18' gives no feature pyramid \(strides \[8, 8\]"):
        create_backbone("resnet18", pretrained=False)


def test_probing_leaves_statistics_and_mode() -> None:
    model = create_backbone("mobilenetv2_035", pretrained=False)
    assert model.training
    assert all(int(value) == 0 for key, value in model.state_dict().items() if key.endswith("num_batches_tracked"))


def test_pretrained_without_network_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(backbone, "_reachable", lambda: False)
    monkeypatch.setattr(backbone, "_cached", lambda repository: None)
    expected = r"'mobilenetv2_050' are not cached and .* cannot be reached.*pretrained=false"
    with pytest.raises(WeightsError, match=expected) as caught:
        create_backbone("mobilenetv2_050", pretrained=True)
    assert "\n" not in str(caught.value) and caught.value.exit_code == 4


def test_a_model_that_has_no_pretrained_weights_is_refused() -> None:
    with pytest.raises(WeightsError, match="there are no pretrained weights of timm's 'mobilenetv2_035'"):
        create_backbone("mobilenetv2_035", pretrained=True)


def test_cached_weights_are_used_without_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    torch.manual_seed(3)
    published = timm.create_model("mobilenetv2_050", pretrained=False)
    file = tmp_path / "model.safetensors"
    save_file(published.state_dict(), file)
    monkeypatch.setattr(backbone, "_reachable", lambda: False)
    monkeypatch.setattr(backbone, "_cached", lambda repository: str(file))
    loaded = create_backbone("mobilenetv2_050", pretrained=True)
    expected = published.state_dict()
    state = loaded.state_dict()
    assert state and all(torch.equal(value, expected[key]) for key, value in state.items())


def test_damaged_cached_weights_are_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"no weights")
    monkeypatch.setattr(backbone, "_cached", lambda repository: str(file))
    with pytest.raises(WeightsError, match="cannot be had"):
        create_backbone("mobilenetv2_050", pretrained=True)


def test_behind_a_proxy_the_network_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert backbone._reachable()


def test_an_unreachable_host_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "https://127.0.0.1")

    def refuse(address: tuple[str, int], timeout: float) -> None:
        assert address == ("127.0.0.1", 443)
        raise ConnectionRefusedError

    monkeypatch.setattr(backbone.socket, "create_connection", refuse)
    assert not backbone._reachable()
