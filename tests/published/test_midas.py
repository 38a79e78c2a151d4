from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from golden import Golden, count
from published_checks import check_exports
from torch import nn

import kdcli
from kdcli.errors import WeightsError
from kdcli.networks import midas
from kdcli.networks.backbone import timm_network
from kdcli.plugins import registry
from kdcli.testing import check_student, check_teacher
from kdcli.types import DepthKind


def test_the_authors_numbers(golden: Callable[[str], Golden], tmp_path: Path) -> None:
    known = golden("midas_v21_small")
    # Theirs has no axis of channels.
    vars(known)["output"] = {**known.output, "depth": known.output["inverse_depth"][:, None]}
    file = known.save(tmp_path / "midas_v21_small_256.pt")
    model = kdcli.load_model(f"teacher:midas-small:{file}")
    assert count(model) == 21_320_545 == known.meta["parameters"]
    assert set(model.network.state_dict()) == set(known.keys)  # type: ignore[union-attr,operator]
    prediction = known.check(model, {
        "enc1": "pretrained.layer1", "enc4": "pretrained.layer4", "dec1": "scratch.refinenet4",
        "dec4": "scratch.refinenet1",
    })
    assert prediction.kind is model.depth_kind is DepthKind.AFFINE_DISPARITY
    assert model.read_out.resize == "bicubic"  # type: ignore[union-attr]
    assert model.provenance.licence == "MIT"  # type: ignore[union-attr]
    assert "IRS" in model.provenance.training_data  # type: ignore[union-attr,operator]
    check_teacher(f"midas-small:{file}")
    file.unlink()


def test_gradients_of_the_authors(golden: Callable[[str], Golden], tmp_path: Path) -> None:
    known = golden("midas_v21_small")
    file = known.save(tmp_path / "net.pt")
    model = kdcli.load_model(f"teacher:midas-small:{file}").double()
    file.unlink()
    model.requires_grad_(True)
    model(known.image().double()).depth.mean().backward()
    unused = []
    for name, norm in json.loads((known.folder / "gradient.json").read_text())["norms"].items():
        gradient = model.get_parameter(f"network.{name}").grad
        if norm is None:
            unused.append(name)
            assert gradient is None
        else:
            assert gradient is not None and float(gradient.norm()) == pytest.approx(norm, rel=1e-3, abs=1e-9), name
    assert unused == known.meta["unused_parameters"]


@pytest.mark.parametrize("size", [(64, 96), (96, 32)])
def test_constant_padding_is_that_of_tensorflow(size: tuple[int, int]) -> None:
    network = midas.MidasSmallNet().eval()
    theirs = timm_network("tf_efficientnet_lite3", num_classes=0, global_pool="").eval()
    halving = [module for module in network.modules() if isinstance(module, midas.HalvingConv)]
    assert len(halving) == 5
    blocks = nn.ModuleList(
        block for stage in ("layer1", "layer2", "layer3", "layer4")
        for block in network.pretrained[stage] if isinstance(block, nn.Sequential)
    )
    theirs.blocks.load_state_dict(blocks.state_dict())
    theirs.conv_stem.load_state_dict(network.pretrained["layer1"][0].state_dict())  # type: ignore[index]
    image = torch.rand(1, 3, *size)
    with torch.no_grad():
        wanted = theirs.blocks(theirs.bn1(theirs.conv_stem(image)))
        for stage in network.pretrained.values():
            image = stage(image)
    torch.testing.assert_close(image, wanted)


def test_it_can_learn_metres() -> None:
    student = registry.build("student", "midas-small,max_depth=10")
    assert student.depth_range == (0.0, 10.0)
    assert student.architecture == "midas-small,max_depth=10"
    student.depth_kind = DepthKind.METRIC
    with torch.no_grad():
        prediction = student.eval()(torch.rand(1, 3, 75, 130))
    assert prediction.depth.shape == (1, 1, 64, 128)
    assert prediction.kind is DepthKind.METRIC
    assert prediction.depth.min() >= 0


def test_conforms() -> None:
    check_student("midas-small")


def test_which_weights_a_teacher_looks_for() -> None:
    with pytest.raises(WeightsError, match="kdcli weights pull midas-small"):
        registry.build("teacher", "midas-small")


def test_other_files_are_refused(tmp_path: Path) -> None:
    torch.save({"pretrained.model.cls_token": torch.zeros(1, 1, 768)}, tmp_path / "dpt.pt")
    with pytest.raises(WeightsError, match=r"does not fit MidasSmallNet: \d+ missing .*; 1 unexpected \(pretrained\.m"):
        registry.build("teacher", f"midas-small:{tmp_path / 'dpt.pt'}")


def test_pretrained_encoder_comes_by_timms_name(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def network(name: str, *, pretrained: bool, **options: object) -> nn.Module:
        asked.append((name, pretrained))
        return timm_network(name, **options)  # type: ignore[no-any-return]

    monkeypatch.setattr(midas, "timm_network", network)
    registry.build("student", "midas-small,pretrained=true")
    assert asked == [("tf_efficientnet_lite3.in1k", True)]


@pytest.mark.slow
def test_exports(tmp_path: Path) -> None:
    check_exports("midas-small", tmp_path)
