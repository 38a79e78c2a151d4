from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from golden import TOLERANCE, Golden, count, off
from published_checks import check_exports
from torch import Tensor, nn

import kdcli
from kdcli.errors import WeightsError
from kdcli.networks.deployed import deployed
from kdcli.networks.read_out import resize_map
from kdcli.networks.zipdepth import ZipDepthNet
from kdcli.networks.zipdepth_layouts import folded, fused
from kdcli.plugins import registry
from kdcli.testing import check_student, check_teacher
from kdcli.types import DepthKind, MadeFor

HEADS = [("zipdepth", "convex", 6_788_254, 6_143_510), ("zipdepth_npu", "npu", 6_786_602, 6_141_834)]
STEPS: dict[str, tuple[str, Callable[[dict[str, Tensor]], dict[str, Tensor]]]] = {
    "fused": ("fused_entries", fused), "folded": ("export_entries", folded),
}
TAPS = {
    "module:network.encoder.stem_half": "encoder.stem_half", "enc1": "encoder.stage1", "enc2": "encoder.stage2",
    "enc3": "encoder.stage3", "enc4": "encoder.spp", "dec1": "decoder.proj4", "dec4": "decoder.fuse1",
    "pre_head": "decoder.fuse_half", "module:network.decoder.head_half": "decoder.head_half",
}
CONSTANTS = {
    "mean": torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1),
    "std": torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1),
}


@pytest.mark.parametrize(("folder", "head", "parameters", "fewer"), HEADS)
def test_the_authors_numbers(
    golden: Callable[[str], Golden], tmp_path: Path, folder: str, head: str, parameters: int, fewer: int
) -> None:
    known = golden(folder)
    # As the trainer writes it on one GPU: compiled, and with the constants of the normalisation.
    file = known.save(tmp_path / "zipdepth_base.pth", lambda state: {
        "model_state_dict": {f"_orig_mod.{name}": value for name, value in {**CONSTANTS, **state}.items()},
        "epoch": 4, "global_step": 7, "loss": 0.1, "optimizer_state_dict": {"state": {}, "param_groups": []},
        "scheduler_state_dict": {"last_epoch": 7},
    })
    model = kdcli.load_model(f"teacher:zipdepth:{file}")
    assert count(model) == parameters == known.meta["parameters"]
    assert set(model.network.state_dict()) == set(known.keys)  # type: ignore[union-attr,operator]
    vars(known)["output"] = {**known.output, "depth": known.output["inverse_depth"]}
    prediction = known.check(model, TAPS)
    assert prediction.kind is model.depth_kind is DepthKind.AFFINE_DISPARITY
    size = known.output["resized"].shape[-2:]
    shown = resize_map(prediction.depth, (size[0], size[1]), model.read_out.resize)  # type: ignore[union-attr,arg-type]
    assert off(shown, known.output["resized"]) < TOLERANCE
    with torch.no_grad():
        raw = model.network(model.normalise(known.image()))  # type: ignore[operator]
    assert off(raw[..., ::4, ::4], known.output["before_last_relu"]) < TOLERANCE
    assert model.architecture == f"zipdepth,variant=base,head={head},layout=branches,max_depth=10000"
    assert model.provenance.licence == "MIT"  # type: ignore[union-attr]
    assert "CC-BY-NC" in model.provenance.training_data  # type: ignore[union-attr,operator]
    assert model.made_for == MadeFor(train_size=(384, 384), eval_size=(384, 384), fit="around")
    single = deployed(model)
    assert count(single) == fewer == known.meta["parameters_fused_export"]
    known.check(single, TAPS)
    check_teacher(f"zipdepth:{file}")


@pytest.mark.parametrize("layout", STEPS)
@pytest.mark.parametrize("folder", ["zipdepth", "zipdepth_npu"])
def test_files_of_the_authors_other_layouts(
    golden: Callable[[str], Golden], tmp_path: Path, folder: str, layout: str
) -> None:
    known = golden(folder)
    listed, step = STEPS[layout]
    rows = json.loads((known.folder / "deploy.json").read_text())[listed]
    state = step(known.state())
    assert {name: list(value.shape) for name, value in state.items()} == {
        name: shape for name, shape, _, _ in rows if name not in CONSTANTS
    }
    for name, _, _, norm in rows:
        assert float({**CONSTANTS, **state}[name].double().norm()) == pytest.approx(norm, rel=1e-6)
    torch.save({**CONSTANTS, **state}, tmp_path / "net.pth")
    model = registry.build("student", f"zipdepth:{tmp_path / 'net.pth'}").eval()
    assert f"layout={layout}" in model.architecture
    vars(known)["output"] = {**known.output, "depth": known.output["inverse_depth"]}
    known.check(model, TAPS)
    known.check(deployed(model), TAPS)
    copy = registry.build("student", model.architecture)
    copy.load_state_dict(model.state_dict())
    with pytest.raises(WeightsError, match=rf"with layout {layout}, not branches; leave out layout=branches"):
        registry.build("teacher", f"zipdepth:{tmp_path / 'net.pth'},layout=branches")


@pytest.mark.parametrize("folder", ["zipdepth", "zipdepth_npu"])
def test_gradients_of_the_authors(golden: Callable[[str], Golden], tmp_path: Path, folder: str) -> None:
    known = golden(folder)
    model = kdcli.load_model(f"teacher:zipdepth:{known.save(tmp_path / 'net.pth')}").double().requires_grad_(True)
    model(known.image().double()).depth.mean().backward()
    norms = json.loads((known.folder / "gradient.json").read_text())["norms"]
    assert len(norms) == len(list(model.parameters()))
    for name, norm in norms.items():
        gradient = model.get_parameter(f"network.{name}").grad
        # A softmax does not see the bias of what enters it: rounding is all that is left.
        slack = 1e-9 if name.endswith("context_weight.bias") else 1e-12
        assert gradient is not None and float(gradient.norm()) == pytest.approx(norm, rel=1e-4, abs=slack), name


@pytest.mark.parametrize(("variant", "head", "counts"), [
    ("small", "convex", (1_503_978, 1_359_690, 1_359_586)), ("small", "npu", (1_502_558, 1_358_270, 1_358_150)),
    ("base", "convex", (6_788_254, 6_143_710, 6_143_510)), ("base", "npu", (6_786_602, 6_142_058, 6_141_834)),
    ("large", "convex", (15_277_086, 13_802_398, 13_802_130)), ("large", "npu", (15_273_282, 13_798_594, 13_798_290)),
    ("giant", "convex", (42_310_710, 38_187_318, 38_186_918)), ("giant", "npu", (42_303_858, 38_180_466, 38_180_018)),
])
def test_sizes(variant: str, head: str, counts: tuple[int, int, int]) -> None:
    with torch.device("meta"):
        made = [registry.build("student", f"zipdepth,variant={variant},head={head},layout={layout}")
                for layout in ("branches", "fused", "folded")]
    assert tuple(count(model) for model in made) == counts


def test_a_student_begins_above_zero_everywhere() -> None:
    for seed in range(4):
        torch.manual_seed(seed)
        student = registry.build("student", "zipdepth,variant=small").train()
        depth = student(torch.rand(2, 3, 64, 64)).depth
        assert depth.min() > 0.2 and depth.max() < 0.8


def test_metres_can_come_back_from_zero() -> None:
    torch.manual_seed(0)
    student = registry.build("student", "zipdepth,variant=small,max_depth=10").train()
    assert student.depth_range == (0.0, 10.0)
    student.depth_kind = DepthKind.METRIC
    with torch.no_grad():
        student.network.decoder.head_half.bias.fill_(-5)
    prediction = student(torch.rand(1, 3, 75, 130))
    assert prediction.kind is DepthKind.METRIC and prediction.depth.shape == (1, 1, 64, 128)
    assert prediction.depth.min() > 0
    prediction.depth.mean().backward()
    assert student.network.decoder.head_half.bias.grad.abs() > 1e-3


@pytest.mark.parametrize("head", ["convex", "npu"])
def test_edges_repeat(head: str) -> None:
    torch.manual_seed(0)
    up = ZipDepthNet("small", head).eval().decoder.convex_up  # type: ignore[arg-type]
    depth = torch.rand(1, 1, 3, 4)
    with torch.no_grad():
        where = up.where(torch.rand(1, 24, 3, 4))  # type: ignore[operator]
        flat, varied = up(where, torch.full((1, 1, 3, 4), 0.7)), up(where, depth)
    torch.testing.assert_close(flat, torch.full((1, 1, 6, 8), 0.7))
    low = -nn.functional.max_pool2d(-depth, 3, stride=1, padding=1)
    high = nn.functional.max_pool2d(depth, 3, stride=1, padding=1)
    assert (varied >= low.repeat_interleave(2, 2).repeat_interleave(2, 3) - 1e-6).all()
    assert (varied <= high.repeat_interleave(2, 2).repeat_interleave(2, 3) + 1e-6).all()


def test_one_image_can_be_trained_on() -> None:
    student = registry.build("student", "zipdepth,variant=small").train()
    student(torch.rand(1, 3, 64, 64)).depth.mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in student.parameters())


def test_conforms() -> None:
    check_student("zipdepth,variant=small")
    check_student("zipdepth,variant=small,head=npu,layout=fused", sizes=((64, 96), (32, 32)))


@pytest.mark.parametrize(("options", "message"), [
    ("", "kdcli weights pull zipdepth`,"), (",head=convex", "kdcli weights pull zipdepth`,"),
    (",head=npu", "kdcli weights pull zipdepth-npu`,"), (",variant=small", "of variant small were released"),
])
def test_which_weights_a_teacher_looks_for(options: str, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        registry.build("teacher", f"zipdepth{options}")


WIDTH, HEAD = "encoder.stem_quarter.conv.weight", "decoder.convex_up.where_conv.0.weight"
ONE, BASE = torch.zeros(1), {WIDTH: torch.zeros(48, 24, 3, 3)}


@pytest.mark.parametrize(("state", "options", "message"), [
    ({"conv1.weight": ONE}, "", r"no checkpoint of ZipDepth: it has no encoder\.stem_quarter\.conv\.weight"),
    ({WIDTH: torch.zeros(40, 20, 3, 3), HEAD: ONE}, "", r"of a known width; give one of fabiotosi92"),
    ({WIDTH: torch.zeros(()), HEAD: ONE}, "", r"of a known width; give one of fabiotosi92"),
    ({**BASE, "x.y": ONE}, "", r"has no decoder\.convex_up\.mask_pred\.0\.weight or"),
    ({**BASE, HEAD: ONE}, ",head=convex", "with head npu, not convex; leave out"),
    ({**BASE, HEAD: ONE}, ",variant=small", "with variant base, not small; leave"),
    ({**BASE, HEAD: ONE}, "", r"does not fit ZipDepthNet: \d+ missing"),
    ({**BASE, HEAD: ONE, "mean": torch.zeros(1, 3, 1, 1)}, "", "another mean than"),
])
def test_foreign_files_are_refused(tmp_path: Path, state: dict[str, Tensor], options: str, message: str) -> None:
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(WeightsError, match=message) as caught:
        registry.build("teacher", f"zipdepth:{tmp_path / 'net.pth'}{options}")
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("head", ["convex", "npu"])
def test_exports(tmp_path: Path, head: str) -> None:
    check_exports(f"zipdepth,variant=small,head={head}", tmp_path)


GRAPH = {"onnx": 2_000_000, "pt2": 5_000_000}
"""Bytes that a file may have besides its parameters, of which the branches would be more: pt2 holds an image, too."""


@pytest.mark.slow
@pytest.mark.parametrize(("folder", "fewer", "format"), [
    (folder, fewer, format) for (folder, _, _, fewer), format in zip(HEADS, ("onnx", "pt2"), strict=True)
])
def test_the_single_form_is_what_is_exported(
    golden: Callable[[str], Golden], tmp_path: Path, folder: str, fewer: int, format: str
) -> None:
    known = golden(folder)
    model = kdcli.load_model(f"teacher:zipdepth:{known.save(tmp_path / 'net.pth')}")
    before = [name for name, _ in model.named_parameters()]
    report = kdcli.export(model, format, tmp_path / f"net.{format}")
    assert report.size is None and report.worst is not None
    assert report.notes == ("it takes images of any size, and was made for 384x384",)
    assert report.worst.relative < 1e-5, str(report.worst)
    assert [name for name, _ in model.named_parameters()] == before
    written = kdcli.load_model(tmp_path / f"net.{format}")
    assert off(written(known.image()).depth, known.output["inverse_depth"]) < TOLERANCE
    assert int(written.card["parameters"]) == fewer  # type: ignore[index,arg-type]
    assert 4 * fewer < report.bytes < 4 * fewer + GRAPH[format]
