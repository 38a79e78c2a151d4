from __future__ import annotations

import pytest
import torch

from kdcli.errors import SpecError
from kdcli.exporters.trace import trace
from kdcli.networks.taps import TapReader
from kdcli.plugins import registry
from kdcli.protocols import DepthModel
from kdcli.students.mobilenet import VARIANTS, MobileNet
from kdcli.students.timm_backbone import TimmStudent
from kdcli.testing import check_student
from kdcli.types import DepthKind


def small(**options: object) -> MobileNet:
    torch.manual_seed(0)
    return MobileNet(width=0.35, **options)  # type: ignore[arg-type]


SPECS = ["mobilenet,width=0.35", "mobilenet,width=0.35,head=bins,bins=16,spacing=even", "timm:resnet10t"]


@pytest.mark.parametrize("spec", SPECS)
def test_students_conform(spec: str) -> None:
    check_student(spec, sizes=((64, 96), (72, 104)))


@pytest.mark.parametrize("size", [(64, 96), (72, 100), (75, 101), (33, 47), (48, 48)])
def test_any_size_gives_half_of_it(size: tuple[int, int]) -> None:
    with torch.no_grad():
        out = small().eval()(torch.rand(1, 3, *size))
    assert out.depth.shape == (1, 1, (size[0] + 1) // 2, (size[1] + 1) // 2)


def test_depth_is_metric_near_the_geometric_middle_at_first() -> None:
    for head in ("direct", "bins"):
        model = small(head=head, min_depth=1.0, max_depth=81.0)
        assert isinstance(model, DepthModel) and model.depth_range == (1.0, 81.0)
        out = model.eval()(torch.rand(2, 3, 64, 96))
        assert out.kind is DepthKind.METRIC
        assert 5.0 < float(out.depth.detach().mean()) < 16.0
        assert (out.probs is None) == (out.centers is None) == (head == "direct")


def test_a_weaker_depth_kind_travels_with_predictions() -> None:
    model = small().eval()
    model.depth_kind = DepthKind.AFFINE_DEPTH
    assert model(torch.rand(1, 3, 32, 32)).kind is DepthKind.AFFINE_DEPTH
    assert MobileNet.depth_kind is DepthKind.METRIC


@pytest.mark.parametrize("head", ["direct", "bins"])
def test_every_parameter_learns(head: str) -> None:
    model = small(head=head)
    model(torch.rand(2, 3, 64, 96)).depth.square().mean().backward()
    missing = [name for name, p in model.named_parameters() if p.grad is None or not bool(p.grad.isfinite().all())]
    assert not missing


def test_a_few_steps_learn_a_picture() -> None:
    model = small()
    image = torch.rand(2, 3, 32, 64, generator=torch.Generator().manual_seed(0))
    goal = torch.linspace(1.0, 4.0, 32).expand(2, 1, 16, 32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(25):
        loss = (model(image).depth.log() - goal.log()).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    # A constant gets no better than the mean distance from the median: 0.33.
    assert float(loss.detach()) < 0.2


def test_taps_name_every_stage() -> None:
    model = small(decoder=8).eval()
    assert list(model.taps) == ["enc1", "enc2", "enc3", "enc4", "enc5", "dec1", "dec2", "dec3", "dec4", "pre_head"]
    with TapReader(model, model.taps) as reader, torch.no_grad():
        model(torch.rand(1, 3, 64, 96))
    for name, tap in model.taps.items():
        assert reader.features[name].shape == (1, tap.channels, 64 // tap.stride, 96 // tap.stride)
    assert torch.equal(reader.features["pre_head"], reader.features["dec4"])


@pytest.mark.parametrize("width", VARIANTS)
def test_widths_are_known_to_timm(width: float) -> None:
    import timm

    assert timm.is_model(VARIANTS[width])


def test_other_widths_are_refused_with_the_list() -> None:
    with pytest.raises(SpecError, match=r"mobilenet has no width 0\.6; use one of 0\.35, 0\.5, 0\.75, 1, 1\.1, 1\.4"):
        registry.build("student", "mobilenet,width=0.6")
    with pytest.raises(SpecError, match="'mobilenet,head=regression' is not one of direct, bins"):
        registry.build("student", "mobilenet,head=regression")
    with pytest.raises(SpecError, match="decoder=0 is no width"):
        registry.build("student", "mobilenet,decoder=0")


def test_images_are_normalised_inside() -> None:
    seen: list[torch.Tensor] = []
    model = small().eval()
    model.backbone.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        model(torch.full((1, 3, 32, 32), 0.5))
    expected = torch.tensor([(0.5 - 0.485) / 0.229, (0.5 - 0.456) / 0.224, (0.5 - 0.406) / 0.225])
    assert torch.allclose(seen[0][0, :, 0, 0], expected, atol=1e-5)


@pytest.mark.parametrize(
    "spec", ["mobilenet,width=0.5,head=bins,bins=9,min_depth=0.3,max_depth=7.0,decoder=12", "timm:resnet10t,decoder=4"]
)
def test_architecture_rebuilds_the_network(spec: str) -> None:
    model = registry.build("student", spec)
    again = registry.build("student", model.architecture)
    assert again.architecture == model.architecture and again.depth_range == model.depth_range
    shapes = {key: value.shape for key, value in model.state_dict().items()}
    assert shapes == {key: value.shape for key, value in again.state_dict().items()}


def test_timm_models_of_other_strides() -> None:
    with torch.no_grad():
        for name, strides in {"convnext_atto": (16, 8, 4, 2), "vgg11": (16, 8, 4, 2, 1)}.items():
            model = TimmStudent(name, decoder=4).eval()
            assert model.decoder.strides == strides
            assert model(torch.rand(1, 3, 64, 96)).depth.shape[-2:] == (64 // strides[-1], 96 // strides[-1])


def test_timm_names_that_do_not_fit_are_refused() -> None:
    with pytest.raises(SpecError, match="Did you mean 'resnet18'"):
        registry.build("student", "timm:resnet19")
    with pytest.raises(SpecError, match="lacks location"):
        registry.build("student", "timm")


def test_channels_last_changes_nothing_but_time() -> None:
    model = small().eval()
    image = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        expected = model(image).depth
        found = model.to(memory_format=torch.channels_last)(image).depth  # type: ignore[call-overload]
    assert torch.allclose(found, expected, atol=1e-4)


def test_an_export_of_any_size_has_plain_operations_only() -> None:
    program = trace(small(head="bins").eval(), (64, 96), dynamic=True)
    operations = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert "aten.upsample_bilinear2d.vec" in operations
    assert not any(word in name for name in operations for word in ("item", "nonzero", "adaptive", "grid_sampler"))
    image = torch.rand(3, 3, 72, 100)
    with torch.no_grad():
        assert torch.allclose(program.module()(image), small(head="bins").eval()(image).depth, atol=1e-5)
