"""Students whose channels were cut: what goes, what stays the same, and how their files are opened."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kdcli.errors import ConfigError, KdcliError, SpecError, WeightsError
from kdcli.evals.cost import cost_of
from kdcli.exporters import export
from kdcli.exporters.endings import ENDINGS
from kdcli.networks.deployed import deployed
from kdcli.plugins import registry
from kdcli.remarks import heard
from kdcli.spec import parse
from kdcli.students.files import CARD, load_student, read_card, save_student
from kdcli.students.mobilenet import MobileNet
from kdcli.students.pruned import channels as pruning
from kdcli.students.pruned.student import inside, of_shapes, pruned
from kdcli.students.within import within
from kdcli.testing import check_student, toy_batch
from kdcli.weights import load_tensors, save

pytest.importorskip("torch_pruning", reason="needs the extra kdcli[pruning]")

SMALL = "mobilenet,width=0.35"


def _depth(network: nn.Module, size: tuple[int, int] = (64, 96)) -> Tensor:
    with torch.no_grad():
        depth: Tensor = network.eval()(torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(1))).depth
    return depth


def _cost(network: nn.Module) -> int:
    counted = cost_of(network.eval(), lambda form: form(torch.zeros(1, 3, 192, 256))).multiply_adds
    assert counted is not None
    return counted


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that came to a student, whose first channels count least."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("run")
    save_student(folder / "student.safetensors", MobileNet(width=0.35), SMALL,
                 {"licence": "MIT", "training_data": "pictures of boxes"})
    return folder


@pytest.mark.parametrize("spec", [SMALL, f"{SMALL},head=bins", "fastdepth"])
@pytest.mark.parametrize("keep", [0.75, 0.5])
def test_the_share_of_the_multiply_adds_is_the_one_that_was_asked_for(spec: str, keep: float) -> None:
    torch.manual_seed(0)
    network = pruned(f"[{spec}]", keep=keep)
    share = _cost(network) / _cost(registry.build("student", spec))
    assert abs(share - keep) < 0.02 and abs(share - network.pruned["kept"]) < 0.01  # type: ignore[index,operator]


def test_single_channels_come_nearest() -> None:
    torch.manual_seed(0)
    assert pruned(f"[{SMALL}]", keep=0.3, multiple=1).pruned["kept"] == pytest.approx(0.3, abs=0.003)  # type: ignore[index]


def test_widths_are_multiples_of_eight_and_bins_stay() -> None:
    torch.manual_seed(0)
    whole, network = MobileNet(width=0.35, head="bins"), pruned(f"[{SMALL},head=bins]", keep=0.5)
    widths = [(mine.out_channels, theirs.out_channels)
              for mine, theirs in zip(network.modules(), whole.modules(), strict=True)
              if isinstance(mine, nn.Conv2d) and isinstance(theirs, nn.Conv2d)]
    assert all(mine == theirs or mine % 8 == 0 for mine, theirs in widths)
    assert sum(mine < theirs for mine, theirs in widths) > 20
    assert widths[-1] == (64, 64)
    assert network(torch.rand(2, 3, 64, 96)).probs.shape[1] == 64


def test_the_channels_that_count_least_go(tmp_path: Path) -> None:
    """Of a network half of whose channels are silent in each layer the rest is kept, and depth with it."""
    torch.manual_seed(0)
    network = MobileNet(width=0.35)
    traced = pruning.Channels(network.eval(), torch.rand(1, 3, 64, 96))
    quiet = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for one in traced.sets("l2"):
            gone = set(torch.randperm(len(one.importance), generator=quiet)[: len(one.importance) // 2].tolist())
            for side in one.sides:
                layer = network.get_submodule(side.layer)
                places = [p for p, root in zip(side.places, side.roots, strict=True) if root in gone]
                if side.out or not isinstance(layer, nn.Conv2d):
                    layer.weight[places] *= 1e-6
                    if layer.bias is not None:
                        layer.bias[places] *= 1e-6
                else:
                    layer.weight[:, places] *= 1e-6
    file = tmp_path / "quiet.safetensors"
    wanted = _depth(network)
    save_student(file, network, SMALL, {})
    cut = _depth(pruned(str(file), keep=0.4, multiple=1))
    drawn = _depth(pruned(str(file), keep=0.4, multiple=1, by="random"))
    assert (cut - wanted).abs().max() < 1e-3 * wanted.max()
    assert (drawn - wanted).abs().max() > 1e-2 * wanted.max()


@pytest.mark.parametrize("spec", [SMALL, "timm:lcnet_050,head=bins"])
def test_the_contract_holds(spec: str) -> None:
    check_student(pruned, options={"location": f"[{spec}|keep=0.6]"})


@pytest.mark.slow
@pytest.mark.parametrize("spec", [
    "timm:mobilenetv4_conv_small", "timm:mobileone_s0", "timm:mobilenetv3_large_100", "timm:regnety_002",
    "timm:convnext_atto", "timm:fastvit_t8", "guidedepth", "midas-small", "mff,backbone=mobilenet_v2", "tie-kd",
    "zipdepth,variant=small", "depthart",
])
def test_networks_are_carried(spec: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = pruned(f"[{spec}]", keep=0.5)
    save_student(tmp_path / "a.safetensors", network, "x", {})
    again, _ = load_student(tmp_path / "a.safetensors")
    depth = _depth(network)
    assert torch.equal(depth, _depth(again))
    assert (_depth(deployed(again)) - depth).abs().max() <= 1e-3 * depth.max()
    assert network.pruned["kept"] == pytest.approx(0.5, abs=0.03)  # type: ignore[index]


def test_a_network_that_the_package_misreads_is_refused() -> None:
    """GhostNet cuts its own maps off at fixed numbers of channels; what remained would be another function."""
    torch.manual_seed(0)
    with pytest.raises(ConfigError, match="'timm:ghostnet_100' cannot be pruned: cutting its channels gives"):
        pruned("[timm:ghostnet_100]")


def test_a_finished_run_is_pruned_with_its_terms(trained: Path) -> None:
    told: list[str] = []
    with heard(told.append):
        network: Any = pruned(f"[run:{trained}]", keep=0.6)
    assert network.provenance.licence == "MIT" and len(network.provenance.sha256) == 64
    assert network.begin_at is None and not network.any_kind
    assert network.architecture.startswith("pruned:[mobilenet,width=0.35,") and "run:" not in network.architecture
    assert told == [f"pruned to {network.pruned['kept']:.3f} of the multiply-adds of run:{trained}"]
    assert torch.equal(_depth(network), _depth(pruned(str(trained / "student.safetensors"), keep=0.6)))


def test_random_weights_are_told() -> None:
    told: list[str] = []
    with heard(told.append):
        pruned(f"[{SMALL}]", keep=0.9)
    assert len(told) == 1 and told[0].endswith("whose weights are random: which channels stay means nothing")


def test_all_is_kept_without_the_package(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_pruning", None)
    whole, _ = load_student(trained / "student.safetensors")
    assert torch.equal(_depth(pruned(f"[run:{trained}]", keep=1)), _depth(whole))


def test_a_missing_package_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_pruning", None)
    with pytest.raises(ConfigError, match=r"pip install 'kdcli\[pruning\]'"):
        pruned(f"[{SMALL}]")


@pytest.mark.parametrize(("location", "options", "why"), [
    ("[mobilenet]", {"keep": 0.0}, "keep=0 of pruned is no share"),
    ("[mobilenet]", {"keep": 1.5}, "keep=1.5 of pruned is no share"),
    ("[mobilenet]", {"keep": float("nan")}, "keep=nan of pruned is no share"),
    ("[mobilenet]", {"multiple": 0}, "multiple=0 of pruned is no number"),
    ("[mobilenet|fastdepth]", {}, "does not name one network"),
    ("[]", {}, "does not name one network"),
    ("[mobilenet|keep=0.3]", {"keep": 0.4}, "'keep' of pruned is given twice"),
    ("[mobilenet|kept=0.3]", {}, "has no key 'kept'"),
    (f"[{SMALL}]", {"keep": 0.05}, "keep=0.05 cannot be had"),
    ("[run:nowhere]", {}, "there is no model at 'nowhere'"),
])
def test_what_cannot_be_pruned_is_one_line(location: str, options: dict[str, Any], why: str) -> None:
    with pytest.raises(KdcliError) as caught:
        pruned(location, **options)
    assert why in str(caught.value) and "\n" not in str(caught.value)


def test_settings_of_a_run_go_to_the_network_inside() -> None:
    found = within("pruned:[mobilenet,width=0.35|keep=0.4],multiple=4")
    assert found.factory is MobileNet and found.spec.options == {"width": "0.35"}
    new = parse("mobilenet,width=0.35,max_depth=80")
    assert str(found.whole(new)) == "pruned:[mobilenet,width=0.35,max_depth=80|keep=0.4],multiple=4"
    assert within("pruned:[run:somewhere],keep=0.4").factory is pruned
    assert within("mobilenet").around == ()
    assert inside(parse("pruned:a/student.safetensors")) is None


@pytest.fixture
def cut_file(trained: Path, tmp_path: Path) -> Path:
    path = tmp_path / "cut.safetensors"
    save_student(path, pruned(f"[run:{trained}]", keep=0.6), "x", {})
    return path


def test_a_file_opens_without_the_package_and_without_the_run(cut_file: Path, trained: Path,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = pruned(f"[run:{trained}]", keep=0.6)
    monkeypatch.setitem(sys.modules, "torch_pruning", None)
    network, card = load_student(cut_file)
    assert torch.equal(_depth(network), _depth(wanted)) and network.taps == wanted.taps
    assert card["pruned"]["keep"] == 0.6 and abs(card["pruned"]["kept"] - 0.6) < 0.02
    save_student(cut_file.with_name("again.safetensors"), network, "x", {})
    again = read_card(cut_file.with_name("again.safetensors"))
    assert (again["student"], again["pruned"]) == (card["student"], card["pruned"])
    assert torch.equal(_depth(load_student(cut_file.with_name("again.safetensors"))[0]), _depth(wanted))


def test_a_pruned_student_is_pruned_further(cut_file: Path) -> None:
    network = pruned(str(cut_file), keep=0.8)
    save_student(cut_file.with_name("twice.safetensors"), network, "x", {})
    assert torch.equal(_depth(load_student(cut_file.with_name("twice.safetensors"))[0]), _depth(network))
    assert _cost(network) < 0.85 * _cost(load_student(cut_file)[0])


@pytest.mark.parametrize(("name", "change", "why"), [
    ("backbone.conv_stem.weight", lambda value: torch.zeros(400, *value.shape[1:]), "but the whole network has"),
    ("backbone.conv_stem.weight", lambda value: value[:, :, :1, :1], "but the kernel is [3, 3]"),
    ("backbone.conv_stem.weight", lambda value: value[0], "but the layer has 4 dimensions"),
    ("backbone.conv_stem.weight", lambda value: value[:3], "do not fit one another"),
    ("backbone.bn1.weight", lambda value: value[:3], "do not fit one another"),
    ("backbone.blocks.0.0.conv_dw.weight", lambda value: value[:3], "do not fit one another"),
])
def test_a_strangers_widths_are_refused(cut_file: Path, name: str, change: Any, why: str) -> None:
    tensors, card = load_tensors(cut_file), read_card(cut_file)
    save(cut_file, {**tensors, name: change(tensors[name]).contiguous()}, {CARD: json.dumps(card)})
    with pytest.raises(WeightsError) as caught:
        load_student(cut_file)
    assert why in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_a_strangers_card_fetches_and_prunes_nothing(cut_file: Path, trained: Path,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "_package", lambda: pytest.fail("it pruned"))
    tensors, card = load_tensors(cut_file), read_card(cut_file)
    for text in (f"pruned:[run:{trained}]", f"pruned:[{trained}/student.safetensors]", "pruned:[pruned:[run:x]]"):
        save(cut_file, tensors, {CARD: json.dumps({**card, "student": text})})
        with pytest.raises(KdcliError):
            load_student(cut_file)
    save(cut_file, tensors, {CARD: json.dumps({**card, "student": f"pruned:[{SMALL},pretrained=true]"})})
    assert load_student(cut_file)[0].architecture.startswith("pruned:[")


def test_an_uncut_file_is_no_pruned_one_with_other_names(trained: Path) -> None:
    network = MobileNet(width=0.35)
    with pytest.raises(SpecError, match="do not fit one another"):
        of_shapes(network, {"backbone.conv_stem.weight": (8, 3, 3, 3)})


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["onnx", "pt2", "xml", "pte", "param", "tflite"])
def test_a_pruned_student_is_exported(cut_file: Path, ending: str) -> None:
    pytest.importorskip({"xml": "openvino", "pte": "executorch", "param": "ncnn", "tflite": "litert_torch"}.get(
        ending, "onnxruntime"))
    network, card = load_student(cut_file)
    out = cut_file.with_name(f"out.{ending}")
    told = export(network, ENDINGS[out.suffix], out, images=toy_batch(batch=2, size=(64, 96)).image, card=card)
    assert told.worst is not None and told.worst.relative < 1e-3
