from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from golden import Golden, count
from published_checks import check_exports
from torch import Tensor

import kdcli
from kdcli.errors import WeightsError
from kdcli.networks.taps import TapReader
from kdcli.plugins import registry
from kdcli.published.base import Checkpoint
from kdcli.published.hu2019 import Hu2019
from kdcli.testing import check_student

PARAMETERS = {"resnet50": 67_569_473, "densenet161": 77_101_151, "senet154": 157_101_425}
TAPS = {"module:network.D.bn": "D.bn", "dec1": "D.up1", "dec4": "D.up4", "module:network.MFF.up1": "MFF.up1",
        "module:network.MFF.bn": "MFF.bn", "module:network.R.bn1": "R.bn1"}


def test_the_authors_numbers_from_a_file_of_their_time(golden: Callable[[str], Golden], tmp_path: Path) -> None:
    known = golden("hu_revisit_resnet50")
    # PyTorch 0.3 did not count batches.
    file = known.save(tmp_path / "net.pth", lambda state: {
        "state_dict": {f"module.{k}": v for k, v in state.items() if not k.endswith("num_batches_tracked")},
    })
    model = kdcli.load_model(f"teacher:hu2019:{file}")
    assert count(model) == PARAMETERS["resnet50"]
    known.check(model, {"enc1": "E.layer1", "enc4": "E.layer4", **TAPS})
    aligned = kdcli.load_model(f"teacher:hu2019:{file},align_corners=true")
    file.unlink()
    known.check(aligned, {}, "depth_align_corners_true")
    assert model.read_out.resize == "bilinear"  # type: ignore[union-attr]
    assert aligned.read_out.resize == "bilinear-corners"  # type: ignore[union-attr]
    assert aligned.architecture == "hu2019,backbone=resnet50,align_corners=true,max_depth=10"


def modern(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Write DenseNet's names as torchvision does since 0.2."""
    return {key.replace("norm.", "norm").replace("conv.", "conv") if "denselayer" in key else key: tensor
            for key, tensor in state.items()}


@pytest.mark.slow
@pytest.mark.parametrize(("backbone", "taps", "aligned", "names"), [
    ("densenet161", {"module:network.E.features.denseblock1": "E.features.denseblock1"}, False, dict),
    ("densenet161", {}, True, modern),
    ("senet154", {"enc1": "E.base.1", "enc4": "E.base.4"}, False, dict),
    ("senet154", {}, True, dict),
])
def test_the_authors_numbers(
    golden: Callable[[str], Golden], monkeypatch: pytest.MonkeyPatch, backbone: str, taps: dict[str, str],
    aligned: bool, names: Callable[[dict[str, Tensor]], dict[str, Tensor]],
) -> None:
    known = golden(f"hu_revisit_{backbone}")
    # Hundreds of megabytes: handed over in memory.
    monkeypatch.setattr(
        Hu2019, "checkpoint", lambda self, location: Checkpoint(path=Path(location), state=names(known.state()))
    )
    model = Hu2019("net.pth", align_corners=aligned).eval()
    assert f"backbone={backbone}," in model.architecture
    if aligned:
        known.check(model, {}, "depth_align_corners_true")
    else:
        known.check(model, {**taps, **TAPS})


@pytest.mark.parametrize("backbone", list(PARAMETERS))
def test_every_name_is_used_once(
    golden: Callable[[str], Golden], monkeypatch: pytest.MonkeyPatch, backbone: str
) -> None:
    known = golden(f"hu_revisit_{backbone}")
    filled: dict[str, Tensor] = {}
    monkeypatch.setattr(
        Hu2019, "checkpoint", lambda self, location: Checkpoint(path=Path(location), state=known.shapes())
    )
    monkeypatch.setattr(Hu2019, "fill", lambda self, read, state: filled.update(state))
    with torch.device("meta"):
        model = Hu2019("net.pth", backbone=backbone)  # type: ignore[arg-type]
    own = {key: value.shape for key, value in model.network.state_dict().items()}
    assert {key: value.shape for key, value in filled.items()} == own
    assert len(own) == len(known.keys)
    assert count(model) == PARAMETERS[backbone] == known.meta["parameters"]


@pytest.mark.parametrize("backbone", ["densenet161", "senet154"])
@pytest.mark.parametrize("size", [(64, 96), (96, 128), (228, 304)])
def test_taps_lie_where_they_say(backbone: str, size: tuple[int, int]) -> None:
    with torch.device("meta"):
        model = Hu2019(backbone=backbone).eval()  # type: ignore[arg-type]
        with torch.no_grad(), TapReader(model, model.taps) as reader:
            assert model(torch.zeros(2, 3, *size)).depth.shape == (2, 1, size[0] // 2, size[1] // 2)
    for name, tap in model.taps.items():
        feature = reader.features[name]
        assert feature.shape[1] == tap.channels, name
        assert all(abs(a - b / tap.stride) <= 1 for a, b in zip(feature.shape[-2:], size, strict=True)), name


def test_conforms() -> None:
    check_student("hu2019", sizes=((32, 64), (64, 96)))


def test_the_options_stay_in_its_architecture() -> None:
    with torch.device("meta"):
        model = registry.build("student", "hu2019,backbone=densenet161,align_corners=true,max_depth=5")
        assert model.architecture == "hu2019,backbone=densenet161,align_corners=true,max_depth=5"
        assert registry.build("student", model.architecture).architecture == model.architecture
    assert model.depth_range == (0.0, 5.0)


def test_a_teacher_without_a_file_asks_for_weights_by_name() -> None:
    with pytest.raises(WeightsError, match="hu2019-resnet50-nyu"):
        registry.build("teacher", "hu2019")
    with pytest.raises(WeightsError, match="hu2019-senet154-nyu"):
        registry.build("teacher", "hu2019,backbone=senet154")


@pytest.mark.parametrize(("name", "options", "message"), [
    ("E.mv2.0.0.weight", "", r"is no checkpoint of Hu et al\. 2019: none of E\.conv1\.weight, E\.features"),
    ("E.features.conv0.weight", ",backbone=resnet50", r"holds Hu et al\. 2019 on densenet161, not on resnet50"),
    ("MFF.att1.1.weight", "", r"does not fit Hu2019Net: \d+ missing .* 1 unexpected \(MFF\.att1\.1\.weight\)"),
    ("fc.weight", "", r"a tensor that Hu et al\. 2019 on resnet50 does not have: fc\.weight; give one of JunjH"),
])
def test_foreign_files_are_refused(tmp_path: Path, name: str, options: str, message: str) -> None:
    state = {name: torch.zeros(1)} | ({} if name.startswith("E.") else {"E.conv1.weight": torch.zeros(64, 3, 7, 7)})
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(WeightsError, match=message):
        registry.build("teacher", f"hu2019:{tmp_path / 'net.pth'}{options}")


@pytest.mark.slow
def test_exports(tmp_path: Path) -> None:
    check_exports("hu2019", tmp_path)
