from __future__ import annotations

from types import SimpleNamespace

import pytest
import timm
from torch import Tensor, nn

from kdcli.errors import SpecError
from kdcli.networks.backbone import create_backbone, describe
from kdcli.networks.pyramid import PyramidNet


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


@pytest.mark.parametrize(
    "name", ["mobilenetv2_035", "resnet18", "convnext_atto", "tf_efficientnet_lite0", "mobilevitv2_050"]
)
def test_images_are_normalised_as_the_backbone_is_used_to(name: str) -> None:
    wanted, made = timm.create_model(name).pretrained_cfg, PyramidNet(name).normalise
    assert made.mean.flatten().tolist() == pytest.approx(wanted["mean"])
    assert (1 / made.gain).flatten().tolist() == pytest.approx(wanted["std"])
