from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden import Golden, count, off
from published_checks import check_exports
from torch import Tensor

import kdcli
from kdcli.errors import SpecError, WeightsError
from kdcli.networks.planar import Guidance
from kdcli.networks.read_out import own_map
from kdcli.networks.taps import TapReader
from kdcli.plugins import registry
from kdcli.published.base import Checkpoint
from kdcli.published.bts import FOCAL, Bts
from kdcli.testing import check_student, check_teacher
from kdcli.types import Provenance, ReadOut

PARAMETERS = {
    "bts_resnet50_kitti": 49_530_968, "bts_densenet161_nyu": 47_000_688, "toolbox_bts_resnet50_kitti": 47_481_969,
}
CAMERA = 721.5377


def released(state: dict[str, Tensor]) -> object:
    """Wrap as cleinc/bts does."""
    return {"global_step": 1, "model": {f"module.{key}": tensor for key, tensor in state.items()}}


def toolbox(state: dict[str, Tensor]) -> object:
    """Wrap as mmcv does."""
    return {"meta": {"epoch": 24}, "state_dict": state}


def compared(modules: str, before: str = "decoder") -> dict[str, str]:
    """Map our decoder's modules to the authors'."""
    return {f"module:network.decoder.{name}": f"{before}.{name}" for name in modules.split()}


OFFICIAL = compared("bn5 bn4_2 daspp_24 reduc8x8") | {
    "dec2": "decoder.daspp_conv", "dec3": "decoder.conv3", "dec4": "decoder.conv2", "pre_head": "decoder.conv1",
}


@pytest.mark.parametrize("data", ["kitti", "nyu"])
def test_the_authors_numbers(golden: Callable[[str], Golden], tmp_path: Path, data: str) -> None:
    known = golden(f"bts_resnet50_{data}")
    # The authors name files after Eigen's split of KITTI.
    file = known.save(tmp_path / f"bts_{'eigen' if data == 'kitti' else data}_v2.pth", released)
    camera = f",focal={CAMERA}" if data == "kitti" else ""
    model: Any = kdcli.load_model(f"teacher:bts:{file}{camera}")
    known.check(model, {"enc5": "encoder.base_model.layer4"} | OFFICIAL)
    plain: Any = kdcli.load_model(f"teacher:bts:{file}")
    file.unlink()
    with torch.no_grad(), TapReader(plain, ["module:network.decoder.reduc1x1"]) as reader:
        said = plain(known.image())
    check_planes(known, plain, said.aux)
    assert plain.provenance.licence == "GPL-3.0-or-later"
    assert off(reader.features["module:network.decoder.reduc1x1"][..., ::4, ::4], known.output["reduc1x1"]) < 1e-4
    if data == "kitti":
        assert plain.read_out == ReadOut(focal=FOCAL)
        assert off(own_map(said, plain.read_out, torch.tensor([CAMERA])), known.output["depth"]) < 1e-4
        assert off(said.depth * (CAMERA / FOCAL), known.output["depth"]) < 1e-4
        assert model.read_out == ReadOut()
        assert model.architecture == f"bts,backbone=resnet50,max_depth=80,layout=official,focal={CAMERA}"
    else:
        assert plain.read_out == ReadOut()
        assert plain.architecture == "bts,backbone=resnet50,max_depth=10,layout=official"


def test_the_authors_numbers_with_densenet(golden: Callable[[str], Golden], tmp_path: Path) -> None:
    known = golden("bts_densenet161_nyu")
    file = known.save(tmp_path / "net.pth", released)
    model: Any = kdcli.load_model(f"teacher:bts:{file}")
    file.unlink()
    assert model.architecture == "bts,backbone=densenet161,max_depth=10,layout=official"
    with TapReader(model, ["enc5"]) as reader:
        said = known.check(model, OFFICIAL)
    check_planes(known, model, said.aux)
    end = reader.features["enc5"].flatten()
    places = np.round(np.linspace(0, end.numel() - 1, 256)).astype(int)
    # Our last map is taken after the ReLU that the authors' decoder begins with.
    assert off(end[places], known.output["tap.encoder.base_model.norm5"].clip(min=0)) < 1e-4


@pytest.mark.parametrize("data", ["kitti", "nyu"])
def test_the_toolboxs_numbers(golden: Callable[[str], Golden], tmp_path: Path, data: str) -> None:
    known = golden(f"toolbox_bts_resnet50_{data}")
    file = known.save(tmp_path / f"bts_r50_{data}_24e.pth", toolbox)
    model: Any = kdcli.load_model(f"teacher:bts:{file}")
    said = known.check(model, {"enc5": "backbone.layer4", "pre_head": "decode_head.conv1"}
                       | compared("bn5 bn4_2 daspp_conv reduc8x8 conv3", "decode_head"))
    farthest = {"kitti": 80.0, "nyu": 10.0}[data]
    assert model.read_out == ReadOut(clip=(1e-3, farthest), resize="bilinear", flip=True)
    assert off(own_map(said, model.read_out)[..., 1::3, 1::3], known.output["depth_final_sub"]) < 1e-4
    assert model.architecture == f"bts,backbone=resnet50,max_depth={farthest:g},layout=toolbox"
    assert model.provenance.licence == "Apache-2.0"
    if data == "nyu":
        check_teacher(f"bts:{file}", sizes=((32, 64),))
    file.unlink()


def check_planes(known: Golden, model: Bts, planes: tuple[Tensor, ...]) -> None:
    """Compare the depth of the planes, coarsest first, with the authors' fractions of the greatest depth."""
    for side, depth in zip((8, 4, 2), planes, strict=True):
        assert depth.shape[-2:] == known.image().shape[-2:]
        fraction = depth[..., ::4, ::4] / model.depth_range[1]
        assert off(fraction, known.output[f"lpg{side}x{side}_scaled"]) < 1e-4, side


def in_memory(known: Golden, monkeypatch: pytest.MonkeyPatch, state: dict[str, Tensor]) -> None:
    """Hand a state over as the checkpoint: nothing is written."""

    def checkpoint(self: Bts, location: str) -> Checkpoint:
        self.provenance = Provenance(name="BTS")
        return Checkpoint(path=Path(location), state=state)

    monkeypatch.setattr(Bts, "checkpoint", checkpoint)


@pytest.mark.slow
def test_the_authors_gradients(golden: Callable[[str], Golden], monkeypatch: pytest.MonkeyPatch) -> None:
    known = golden("bts_resnet50_kitti")
    in_memory(known, monkeypatch, known.state())
    network: Any = Bts("kitti.pth").double().eval().network
    image = torch.from_numpy(np.load(known.folder / "input.npz")["input"]).double().requires_grad_()
    (network(image)[0].mean() * (CAMERA / FOCAL)).backward()
    assert image.grad is not None
    assert off(image.grad[..., ::4, ::4], np.load(known.folder / "gradient.npz")["input_sub"]) < 1e-5
    norms = json.loads((known.folder / "gradient.json").read_text())["norms"]
    for name, parameter in network.named_parameters():
        if norms[name] is None:
            assert parameter.grad is None, name
        else:
            assert float(parameter.grad.norm()) == pytest.approx(norms[name], rel=1e-5), name


@pytest.mark.parametrize("name", list(PARAMETERS))
def test_every_name_is_used_once(golden: Callable[[str], Golden], monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    known = golden(name)
    filled: dict[str, Tensor] = {}
    in_memory(known, monkeypatch, known.shapes())
    monkeypatch.setattr(Bts, "fill", lambda self, read, state: filled.update(state))
    with torch.device("meta"):
        model = Bts("net.pth")
    own = {key: value.shape for key, value in model.network.state_dict().items()}
    assert {key: value.shape for key, value in filled.items()} == own
    assert len(own) == len(known.keys)
    assert count(model) == PARAMETERS[name] == known.meta["parameters"]


def test_conforms() -> None:
    check_student("bts")


@pytest.mark.slow
def test_conforms_with_densenet_and_a_focal_length() -> None:
    check_student("bts,backbone=densenet161,max_depth=80,focal=500")


@pytest.mark.parametrize("side", [2, 8])
def test_a_plane_is_followed_within_its_cell(side: int) -> None:
    generator = torch.Generator().manual_seed(side)
    planes = torch.rand(2, 4, 3, 5, generator=generator, dtype=torch.float64)
    planes[:, 2] += 2
    large = planes.repeat_interleave(side, 2).repeat_interleave(side, 3)
    place = torch.tensor([(i + 0.5) / side - 0.5 for i in range(side)], dtype=torch.float64)
    across, down = place.repeat(5)[None, :], place.repeat(3)[:, None]
    expected = large[:, 3] / (large[:, 0] * across + large[:, 1] * down + large[:, 2])
    assert torch.allclose(Guidance(side)(planes)[:, 0], expected, rtol=1e-12)


def test_any_size_and_half_precision() -> None:
    torch.manual_seed(0)
    model = Bts().eval()
    image = torch.rand(1, 3, 75, 110)
    with torch.no_grad():
        exact = model(image)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = model(image)
    assert exact.depth.shape == (1, 1, 64, 96)
    for ours, rough in zip((exact.depth, *exact.aux), (half.depth, *half.aux), strict=True):
        assert rough.dtype == torch.float32
        assert rough.shape == ours.shape
    assert (exact.depth - half.depth).abs().max() < 0.1


def test_a_focal_length_scales_all_depth() -> None:
    torch.manual_seed(0)
    model, image = Bts(max_depth=80).eval(), torch.rand(1, 3, 32, 64)
    nearer = Bts(max_depth=80, focal=FOCAL / 2).eval()
    nearer.load_state_dict(model.state_dict())
    with torch.no_grad():
        said, other = model(image), nearer(image)
    assert nearer.depth_range == (0.0, 40.0)
    for full, halved in zip((said.depth, *said.aux), (other.depth, *other.aux), strict=True):
        assert torch.allclose(halved * 2, full)


@pytest.mark.parametrize(("options", "architecture"), [
    ("", "bts,backbone=resnet50,max_depth=10,layout=official"),
    (",layout=toolbox,max_depth=80", "bts,backbone=resnet50,max_depth=80,layout=toolbox"),
    (",backbone=densenet161,max_depth=80,focal=718.8579",
     "bts,backbone=densenet161,max_depth=80,layout=official,focal=718.8579"),
])
def test_the_options_stay_in_its_architecture(options: str, architecture: str) -> None:
    with torch.device("meta"):
        model = registry.build("student", f"bts{options}")
        assert model.architecture == architecture
        again = registry.build("student", architecture)
    assert again.architecture == architecture
    assert again.depth_range == model.depth_range
    assert again.read_out == model.read_out


def test_a_student_learns_depth_without_a_focal_length() -> None:
    with torch.device("meta"):
        assert registry.build("student", "bts,max_depth=80").read_out == ReadOut()


@pytest.mark.parametrize(("options", "message"), [
    ("layout=toolbox,backbone=densenet161", "layout=toolbox is not known with densenet161; use layout=official"),
    ("max_depth=0", "max_depth=0 is no depth"),
    ("focal=-1", "focal=-1 is no focal length"),
    ("focal=518.9", "only depth of official KITTI networks depends on the focal length"),
    ("layout=toolbox,max_depth=80,focal=721.5", "only depth of official KITTI networks depends on the focal length"),
])
def test_options_that_do_not_hold_are_refused(options: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        registry.build("student", f"bts,{options}")


@pytest.mark.parametrize(("options", "message"), [
    ("", "weights 'bts-resnet50-nyu' are not on this machine"),
    (",max_depth=80", "weights 'bts-resnet50-kitti' are not on this machine"),
    (",backbone=densenet161", "weights 'bts-densenet161-nyu' are not on this machine"),
    (",backbone=densenet161,max_depth=80", "weights 'bts-densenet161-kitti' are not on this machine"),
    (",layout=toolbox", "no weights of BTS in the toolbox's layout are known by name"),
])
def test_a_teacher_without_a_file_asks_for_weights_by_name(options: str, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        registry.build("teacher", f"bts{options}")


@pytest.mark.parametrize(("name", "options", "message"), [
    ("backbone.conv1.weight", "", r"is no checkpoint of BTS: none of encoder\.base_model\.conv1\.weight, .*cleinc/bts"),
    ("encoder.base_model.conv0.weight", ",backbone=resnet50", "BTS of backbone densenet161, not resnet50; leave out"),
    ("encoder.base_model.conv1.weight", ",layout=toolbox", "BTS of layout official, not toolbox; leave out layout="),
    ("encoder.base_model.conv1.weight", "", r"does not fit BtsNet: \d+ missing"),
    ("head.weight", "", r"a tensor that BTS on resnet50, layout official does not have: head\.weight; give one of"),
])
def test_foreign_files_are_refused(tmp_path: Path, name: str, options: str, message: str) -> None:
    state = {name: torch.zeros(64, 3, 7, 7)}
    if name == "head.weight":
        state["encoder.base_model.conv1.weight"] = torch.zeros(64, 3, 7, 7)
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(WeightsError, match=message) as caught:
        registry.build("teacher", f"bts:{tmp_path / 'net.pth'}{options}")
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_exports(tmp_path: Path) -> None:
    check_exports("bts", tmp_path)
    (tmp_path / "student.onnx").unlink()
