from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from golden import Golden, count, off
from published_checks import check_exports
from torch import Tensor
from torch.nn import functional

import kdcli
from kdcli.errors import SpecError, WeightsError
from kdcli.networks.deformable import centres, sample
from kdcli.networks.depthformer import VARIANTS, Variant
from kdcli.networks.read_out import own_map, read_out_of, resize_map
from kdcli.networks.swin import PatchMerging
from kdcli.plugins import registry
from kdcli.published.base import Checkpoint, drawing
from kdcli.published.depthformer import DepthFormer
from kdcli.testing import check_student, check_teacher

TAPS = {
    "module:network.backbone.conv1": "backbone.conv1", "module:network.backbone.patch_embed": "backbone.patch_embed",
    "module:network.backbone.stages.0": "backbone.stages.0", "module:network.backbone.stages.2": "backbone.stages.2",
    "module:network.neck.lateral_convs.4": "neck.lateral_convs.4", "module:network.neck.self_attn": "neck.self_attn",
    "module:network.neck.multi_att": "neck.multi_att", "module:network.neck.conv_fusion": "neck.conv_fusion",
    "dec1": "decode_head.conv_list.1", "pre_head": "decode_head.conv_list.4",
}
TABLE = "backbone.stages.0.blocks.0.attn.w_msa.relative_position_index"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let swin-t be much smaller, where what is shown does not depend on its size."""
    monkeypatch.setitem(VARIANTS, "swin-t", Variant(width=32, depths=(1, 2, 1, 1), heads=(1, 2, 4, 8), neck=64))


def saved(file: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]] = lambda state: state) -> Path:
    """Write a checkpoint of swin-t with random weights as OpenMMLab's trainer does."""
    torch.manual_seed(0)
    student = registry.build("student", "depthformer,backbone=swin-t")
    torch.save({"meta": {"iter": 1}, "state_dict": change(student.network.state_dict())}, file)
    return file


def test_the_authors_numbers(golden: Callable[[str], Golden], tmp_path: Path) -> None:
    known = golden("toolbox_depthformer_swint_nyu")
    tables = dict.fromkeys(known.spec["keep"], torch.zeros(49, 49, dtype=torch.long))
    file = known.save(tmp_path / "net.pth", lambda state: {"meta": {"iter": 1}, "state_dict": {**state, **tables}})
    model = kdcli.load_model(f"teacher:depthformer:{file}")
    file.unlink()
    assert count(model) == 47_612_029 == known.meta["parameters"]
    assert set(model.network.state_dict()) == set(known.keys)  # type: ignore[union-attr,operator]
    assert model.architecture == "depthformer,backbone=swin-t,max_depth=10"
    said = known.check(model, TAPS)
    # The final map: clamped, then resized with corners aligned; the other way of resizing is visibly another.
    read, size = read_out_of(model), (known.meta["input_shape"][2], known.meta["input_shape"][3])
    assert (read.clip, read.flip) == ((1e-3, 10.0), True)
    final = {how: resize_map(own_map(said, read), size, how)[..., 1::3, 1::3] for how in (read.resize, "bilinear")}
    assert off(final[read.resize], known.output["depth_final_sub"]) < 1e-5
    assert off(final["bilinear"], known.output["depth_final_sub"]) > 1e-3


def test_the_authors_gradients(golden: Callable[[str], Golden]) -> None:
    known = golden("toolbox_depthformer_swint_nyu")
    model = filled(known, "depthformer,backbone=swin-t")
    image = torch.from_numpy(np.load(known.folder / "input.npz")["input"]).requires_grad_()
    model.network(image).mean().backward()  # type: ignore[operator]
    assert image.grad is not None
    assert off(image.grad[..., ::4, ::4], np.load(known.folder / "gradient.npz")["input_sub"]) < 0.01
    norms = json.loads((known.folder / "gradient.json").read_text())["norms"]
    for name, parameter in model.network.named_parameters():
        assert float(parameter.grad.norm()) == pytest.approx(norms[name], rel=0.01), name  # type: ignore[union-attr]


@pytest.mark.slow
def test_the_authors_numbers_of_the_large_one(golden: Callable[[str], Golden]) -> None:
    known = golden("toolbox_depthformer_swinl_kitti")
    model = filled(known, "depthformer,max_depth=80")
    assert count(model) == 273_732_631 == known.meta["parameters"]
    assert model.architecture == "depthformer,backbone=swin-l,max_depth=80"
    said = known.check(model, TAPS)
    final = resize_map(own_map(said, read_out_of(model)), (160, 192), read_out_of(model).resize)
    assert off(final[..., 1::3, 1::3], known.output["depth_final_sub"]) < 1e-5


def filled(known: Golden, spec: str) -> DepthFormer:
    """Return a student with the golden weights, without a file between: they are held once."""
    state = known.state()
    with drawing(Checkpoint(path=Path("none"), state=state)):
        model: DepthFormer = registry.build("student", spec)
    assert set(model.network.state_dict()) == set(known.keys)
    model.network.load_state_dict(state, assign=True)
    return model.eval().requires_grad_(True)


def test_conforms() -> None:
    check_student("depthformer,backbone=swin-t")


@pytest.mark.usefixtures("small")
def test_conforms_as_a_teacher(tmp_path: Path) -> None:
    check_teacher(f"depthformer:{saved(tmp_path / 'net.pth')}")


@pytest.mark.usefixtures("small")
def test_tables_of_positions_may_be_in_the_file_or_not(tmp_path: Path) -> None:
    plain = registry.build("teacher", f"depthformer:{saved(tmp_path / 'plain.pth')}")
    table = plain.network.backbone.stages[0].blocks[0].attn["w_msa"].relative_position_index
    assert (table[0, 0], table[0, 48], table[48, 0], table[0, 1], table[7, 0]) == (84, 0, 168, 83, 97)
    file = saved(tmp_path / "full.pth", lambda state: {**state, TABLE: table})
    full = registry.build("teacher", f"depthformer:{file},backbone=swin-t")
    image = torch.rand(1, 3, 64, 64)
    assert torch.equal(full(image).depth, plain(image).depth)


@pytest.mark.usefixtures("small")
def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    def refused(message: str, change: Callable[[dict[str, Tensor]], dict[str, Tensor]], more: str = "") -> None:
        file = saved(tmp_path / "net.pth", change)
        with pytest.raises(WeightsError, match=message) as caught:
            registry.build("teacher", f"depthformer:{file}{more}")
        assert "\n" not in str(caught.value)

    bias = TABLE.replace("index", "bias_table")
    refused("holds swin-t, not swin-l; use backbone=swin-t", lambda state: state, ",backbone=swin-l")
    refused("is no checkpoint of DepthFormer", lambda state: {"conv1.weight": torch.zeros(64, 3, 7, 7)})
    refused(
        "width 32 with 2 blocks in stage three, which is none of swin-l, swin-t",
        lambda state: {**state, "backbone.stages.2.blocks.1.norm1.weight": torch.zeros(128)},
    )
    refused("1 unexpected", lambda state: {**state, "decode_head.extra": torch.zeros(1)})
    refused("1 missing", lambda state: {k: v for k, v in state.items() if k != "neck.level_embed"})
    refused("1 of another shape", lambda state: {**state, bias: torch.zeros(23 * 23, 1)})


@pytest.mark.usefixtures("small")
def test_range_is_told_by_the_name_or_an_option(tmp_path: Path) -> None:
    file = saved(tmp_path / "depthformer_swint_KITTI.pth")
    assert registry.build("teacher", f"depthformer:{file}").architecture == "depthformer,backbone=swin-t,max_depth=80"
    assert registry.build("teacher", f"depthformer:{file},max_depth=20").depth_range == (1e-3, 20.0)
    student = registry.build("student", "depthformer,backbone=swin-t")
    assert student.depth_range == (1e-3, 10.0) == student.read_out.clip
    with pytest.raises(SpecError, match="max_depth=-1 is no depth"):
        registry.build("student", "depthformer,backbone=swin-t,max_depth=-1")


def test_names_of_weights() -> None:
    assert DepthFormer.weights({"backbone": None, "max_depth": None}) == "depthformer-swinl-nyu"
    assert DepthFormer.weights({"backbone": "swin-l", "max_depth": 80.0}) == "depthformer-swinl-kitti"
    assert DepthFormer.weights({"backbone": "swin-t", "max_depth": 10.0}) == "depthformer-swint-nyu"


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("size", [(75, 101), (33, 250), (1, 5)])
def test_any_size(size: tuple[int, int]) -> None:
    student = registry.build("student", "depthformer,backbone=swin-t").eval()
    depth = student(torch.rand(1, 3, *size)).depth
    assert depth.shape == (1, 1, (size[0] + 1) // 2, (size[1] + 1) // 2)
    assert (depth >= 1e-3).all()


@pytest.mark.usefixtures("small")
def test_learns_at_half_precision() -> None:
    student = registry.build("student", "depthformer,backbone=swin-t").train()
    image = torch.rand(2, 3, 64, 96)
    with torch.autocast("cpu", torch.bfloat16):
        half = student(image).depth
    half.float().mean().backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in student.parameters())
    student.eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        half = student(image).depth.float()
    assert off(half, student(image).depth.detach().numpy()) < 0.05


def test_patches_are_merged_as_unfold_orders_them() -> None:
    torch.manual_seed(0)
    merge, feature = PatchMerging(6), torch.randn(2, 6, 5, 8)
    padded = functional.pad(feature, (0, 0, 0, 1))
    wanted = merge.reduction(merge.norm(functional.unfold(padded, 2, stride=2).transpose(1, 2)))
    assert torch.equal(merge(feature.flatten(2).transpose(1, 2), (5, 8), (3, 4)), wanted)


def test_points_are_read_between_pixels_and_as_zero_outside() -> None:
    # One map of 2 x 3 with one head; three queries at pixel centres look at two points each.
    value = torch.arange(1.0, 7.0).view(1, 6, 1, 1)
    reference = centres(2, 3, value)[[0, 4, 5]]
    offsets = torch.tensor([[[1.0, 0.0], [0.0, 0.5]], [[0.0, -1.0], [0.5, 0.0]], [[1.0, 0.0], [0.0, 0.0]]])
    weights = torch.tensor([[0.25, 0.75], [1.0, 0.0], [0.5, 0.5]])
    seen = sample(value, [(2, 3)], reference, offsets.view(1, 3, 1, 1, 2, 2), weights.view(1, 3, 1, 1, 2))
    wanted = [0.25 * 2 + 0.75 * (1 + 4) / 2, 2.0, 0.5 * 0 + 0.5 * 6]
    assert seen.flatten().tolist() == pytest.approx(wanted)


@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_exports(tmp_path: Path) -> None:
    check_exports("depthformer,backbone=swin-t", tmp_path)
