from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from golden import TOLERANCE, Golden, count, off
from published_checks import check_exports, check_operators
from timm.models.mobilenetv3 import mobilenetv4_conv_medium
from torch import Tensor, nn

import kdcli
from kdcli.errors import WeightsError
from kdcli.evals.cost import cost_of
from kdcli.exporters.trace import trace
from kdcli.networks import depthart_encoder
from kdcli.networks.backbone import timm_network
from kdcli.networks.depthart import DepthArtNet
from kdcli.networks.read_out import read_out_of, resize_map
from kdcli.plugins import registry
from kdcli.testing import check_student, check_teacher
from kdcli.types import DepthKind, MadeFor

FOLDER = "depthart_mnv4m_slim_spf"
TAPS = {
    "enc1": "pretrained.act1", "enc2": "pretrained.blocks.0", "enc3": "pretrained.blocks.1",
    "enc4": "pretrained.blocks.2", "enc5": "pretrained.blocks.3", "dec1": "depth_head.refine8",
    "dec2": "depth_head.refine4", "dec3": "depth_head.refine2", "dec4": "depth_head.full_pointwise",
    "module:network.depth_head.output_conv": "depth_head.output_conv",
}  # fmt: skip


def test_the_authors_numbers(golden: Callable[[str], Golden], tmp_path: Path) -> None:
    known = golden(FOLDER)
    file = known.save(tmp_path / "depthart_relative_mnv4m_slim_448.pth", wrap=_wrapped)
    model = kdcli.load_model(f"teacher:depthart:{file}")
    assert count(model) == 6_054_609 == known.meta["parameters"]
    assert set(model.network.state_dict()) == set(known.keys)  # type: ignore[union-attr,operator]
    prediction = known.check(model, TAPS, output="inverse_depth")
    resized = resize_map(prediction.depth, (144, 192), read_out_of(model).resize)
    assert off(resized, known.output["resized"]) < TOLERANCE
    assert prediction.kind is model.depth_kind is DepthKind.AFFINE_DISPARITY
    assert "not for commerce" in model.provenance.licence  # type: ignore[union-attr,operator]
    assert "Depth Anything" in model.provenance.training_data  # type: ignore[union-attr,operator]
    check_teacher(f"depthart:{file}")


def test_gradients_of_the_authors(golden: Callable[[str], Golden], tmp_path: Path) -> None:
    known = golden(FOLDER)
    model = kdcli.load_model(f"teacher:depthart:{known.save(tmp_path / 'net.pth')}").double()
    model.requires_grad_(True)
    model(known.image().double()).depth.mean().backward()
    for name, norm in json.loads((known.folder / "gradient.json").read_text())["norms"].items():
        gradient = model.get_parameter(f"network.{name}").grad
        assert gradient is not None and float(gradient.norm()) == pytest.approx(norm, rel=1e-3, abs=1e-9), name


def test_the_file_tells_the_size_it_was_made_for(golden: Callable[[str], Golden], tmp_path: Path) -> None:
    known = golden(FOLDER)
    for side in (448, 224):
        file = known.save(tmp_path / f"depthart_relative_mnv4m_slim_{side}.pth", wrap=_wrapped)
        made = registry.build("student", f"depthart:{file}").made_for
        assert made == MadeFor(train_size=(side, side), eval_size=(side, side), domain="any")
    assert getattr(registry.build("student", "depthart"), "made_for", None) is None


def test_other_files_are_refused(tmp_path: Path) -> None:
    torch.save({"pretrained.conv_stem.weight": torch.zeros(32, 3, 3, 3)}, tmp_path / "net.pth")
    with pytest.raises(WeightsError, match=r"does not fit DepthArtNet: \d+ missing .* of 554 tensors"):
        registry.build("teacher", f"depthart:{tmp_path / 'net.pth'}")


def test_which_weights_a_teacher_looks_for() -> None:
    with pytest.raises(WeightsError, match=r"'depthart' are not on .* https://huggingface\.co/Fengxue93/DepthART"):
        registry.build("teacher", "depthart")
    with pytest.raises(WeightsError, match="'depthart-224' are not on this machine"):
        registry.build("teacher", "depthart:depthart-224")


def test_conforms() -> None:
    check_student("depthart", sizes=((64, 96), (75, 130)))


def test_it_can_learn_metres_of_any_size() -> None:
    student = registry.build("student", "depthart,max_depth=10")
    assert student.depth_range == (0.0, 10.0)
    assert student.architecture == "depthart,max_depth=10"
    student.depth_kind = DepthKind.METRIC
    with torch.no_grad():
        prediction = student.eval()(torch.rand(1, 3, 75, 131))
    assert prediction.depth.shape == (1, 1, 75, 131)
    assert prediction.kind is DepthKind.METRIC
    assert prediction.depth.min() >= 0


def test_it_costs_what_its_authors_say() -> None:
    normed = 0

    def count_norms(_module: nn.Module, _given: object, feature: Tensor) -> None:
        nonlocal normed
        normed += feature.numel()

    with torch.device("meta"), torch.no_grad():
        student = registry.build("student", "depthart").eval()
        cost = cost_of(student, lambda form: form(torch.empty(1, 3, 448, 448)))
        for module in student.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.register_forward_hook(count_norms)
        student(torch.empty(1, 3, 448, 448))
    assert cost.parameters == 6_054_609 and cost.size == (448, 448) and cost.multiply_adds is not None
    # Theirs counts four for each number that is normalised.
    assert cost.multiply_adds + 4 * normed == pytest.approx(3.78e9, rel=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_a_new_network_begins_where_there_is_a_gradient(seed: int) -> None:
    torch.manual_seed(seed)
    network = DepthArtNet().train()
    with torch.no_grad():
        depth = network(torch.rand(2, 3, 64, 96))
    assert (depth > 0).float().mean() > 0.95


def test_slim_blocks_keep_what_counts_most(whole: nn.Module) -> None:
    """Channels that count for nothing are those that go: the slim network then gives what the whole one does."""
    encoder = depthart_encoder.slim_mobilenet().eval()
    state = whole.state_dict()
    for name, block in encoder.named_modules():
        if hasattr(block, "pw_proj"):
            weight = state[f"{name}.pw_proj.conv.weight"]
            silent = torch.randperm(weight.shape[1])[block.pw_exp.conv.out_channels :]
            middle = f"{name}.dw_mid.bn.weight"
            # Either of the two factors makes a channel count for nothing.
            if middle in state and len(silent) % 3:
                state[middle][silent] = 0
                state[f"{name}.dw_mid.bn.bias"][silent] = 0
            else:
                weight[:, silent] = 0
    encoder.load_state_dict(depthart_encoder.slimmed(state, encoder))
    whole.load_state_dict(state)
    encoder.double()
    whole.double()
    image = torch.rand(1, 3, 64, 96).double()
    with torch.no_grad():
        feature = whole.bn1(whole.conv_stem(image))  # type: ignore[operator]
        for i, (ours, channels) in enumerate(zip(encoder(image), depthart_encoder.CHANNELS, strict=True)):
            feature = whole.blocks[i - 1](feature) if i else feature  # type: ignore[index]
            torch.testing.assert_close(ours, feature)
            assert ours.shape[1] == channels


def test_pretrained_encoder_comes_by_timms_name(whole: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def network(name: str, *, pretrained: bool, **options: object) -> nn.Module:
        asked.append((name, pretrained))
        return whole

    monkeypatch.setattr(depthart_encoder, "timm_network", network)
    monkeypatch.setattr(depthart_encoder, "encoder_weights", lambda name, pretrained: whole if pretrained else None)
    student = registry.build("student", "depthart,pretrained=true")
    assert asked == [("mobilenetv4_conv_medium.e500_r256_in1k", True)]
    ours: dict[str, Tensor] = student.network.pretrained.state_dict()
    assert torch.equal(ours["conv_stem.weight"], whole.state_dict()["conv_stem.weight"])
    assert timm_network(asked[0][0], num_classes=0).state_dict().keys() > ours.keys()


@pytest.mark.slow
def test_exports(tmp_path: Path) -> None:
    check_exports("depthart", tmp_path)
    model = registry.build("student", "depthart").eval()
    program = trace(model, (192, 256), dynamic=True)
    check_operators(program)
    image = torch.rand(1, 3, 160, 288)
    with torch.no_grad():
        assert off(program.module()(image), model(image).depth.numpy()) < 1e-4


@pytest.fixture
def whole() -> nn.Module:
    """The network that the encoder is a slim copy of, with numbers of which none is special."""
    torch.manual_seed(0)
    network: nn.Module = mobilenetv4_conv_medium(num_classes=0).eval()
    for name, tensor in network.state_dict().items():
        if name.endswith((".bn.weight", ".bn.running_var")):
            tensor.uniform_(0.5, 1.5)
        elif name.endswith((".bn.bias", ".bn.running_mean")):
            tensor.normal_(std=0.2)
    return network


def _wrapped(state: dict[str, Tensor]) -> object:
    return {"model": {f"module.{name}": tensor for name, tensor in state.items()}, "validation_metrics": {"d1": 0.9}}
