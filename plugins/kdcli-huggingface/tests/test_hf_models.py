"""Every family against transformers' own processor, model and post-processing, and against the conformance kit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hf_tiny import MODELS
from PIL import Image
from torch import Tensor, nn
from transformers import AutoImageProcessor, AutoModelForDepthEstimation

import kdcli
from kdcli.errors import SpecError
from kdcli.networks.read_out import own_map, read_out_of, resize_map
from kdcli.testing import check_teacher, toy_batch
from kdcli.types import DepthKind

Folder = Callable[[str], Path]

SIZE = (84, 120)
BYTES = (toy_batch(batch=1, size=SIZE).image * 255).round().byte()

KINDS = {
    "dpt": (DepthKind.AFFINE_DISPARITY, (0.0, 1000.0)),
    "dpt-dinov2": (DepthKind.METRIC, (0.0, 1000.0)),
    "depth-anything": (DepthKind.AFFINE_DISPARITY, (0.0, 1000.0)),
    "depth-anything-metric": (DepthKind.METRIC, (0.0, 20.0)),
    "prompt-depth-anything": (DepthKind.AFFINE_DEPTH, (0.0, 1.0)),
    "glpn": (DepthKind.METRIC, (0.0, 10.0)),
    "zoedepth": (DepthKind.METRIC, (0.001, 10.0)),
    "zoedepth-two-heads": (DepthKind.METRIC, (0.001, 80.0)),
    "depth-pro": (DepthKind.METRIC, (0.0, 1000.0)),
    "depth-pro-without-view": (DepthKind.SCALE_INVARIANT, (0.0, 1000.0)),
}


def load(spec: str | Path) -> Any:
    return kdcli.load_model(f"teacher:hf:{spec}")


def final(teacher: nn.Module, image: Tensor) -> Tensor:
    """The map at the image's size, as evaluation reads it out."""
    with torch.no_grad():
        said = teacher(image)
    read = read_out_of(teacher)
    return resize_map(own_map(said, read), (int(image.shape[-2]), int(image.shape[-1])), read.resize)


def theirs(folder: Path) -> tuple[Tensor, Tensor]:
    """What transformers' processor shows the network, and the finished map, B x 3 x h x w and 1 x 1 x H x W."""
    processor: Any = AutoImageProcessor.from_pretrained(folder)
    network = AutoModelForDepthEstimation.from_pretrained(folder).eval()
    picture = Image.fromarray(BYTES[0].permute(1, 2, 0).numpy())
    with torch.no_grad():
        inputs = processor(images=picture, return_tensors="pt")
        finished = processor.post_process_depth_estimation(network(**inputs), [SIZE])
    return inputs["pixel_values"], finished[0]["predicted_depth"][None, None]


@pytest.mark.parametrize("name", MODELS)
def test_the_kind_is_told_by_the_configuration(model: Folder, name: str) -> None:
    teacher = load(model(name))
    assert (teacher.depth_kind, teacher.depth_range) == KINDS[name]
    assert teacher(BYTES.float() / 255).kind is teacher.depth_kind


@pytest.mark.parametrize("name", MODELS)
def test_it_says_what_transformers_says(model: Folder, name: str) -> None:
    teacher, (pixels, wanted) = load(model(name)), theirs(model(name))
    spread = wanted.std()
    assert spread > 1e-3, "a map that shows nothing proves nothing"
    # The processor rounds to bytes between resizing and normalising, which is all that may differ.
    gap = (final(teacher, BYTES.float() / 255) - wanted).abs()
    assert gap.mean() < 0.02 * spread and gap.max() < 0.1 * spread
    # With the same pixels it is the same map.
    handle = teacher.preprocess.register_forward_hook(lambda *_: pixels)
    assert torch.allclose(final(teacher, BYTES.float() / 255), wanted, rtol=1e-4, atol=1e-4)
    handle.remove()


@pytest.mark.parametrize("name", [name for name in MODELS if name not in ("dpt-dinov2", "depth-pro-without-view")])
def test_teachers_conform(model: Folder, name: str) -> None:
    check_teacher(f"hf:{model(name)}")


def test_inner_maps_have_names_where_the_network_sees_one_size(model: Folder) -> None:
    everything = [f"{part}{i}" for part in ("enc", "dec") for i in (1, 2, 3, 4)]
    assert list(load(model("dpt")).taps) == everything and list(load(model("glpn")).taps) == everything[4:]
    assert load(model("depth-anything")).taps == {}
    for spec, taps in ((f"{model('depth-anything')},size=70x98", ["enc2", "enc3", "enc4", "dec1", "dec2"]),
                       (f"{model('zoedepth')},size=64x96", everything)):
        assert list(load(spec).taps) == taps
        check_teacher(f"hf:{spec}")


def test_the_size_can_be_chosen(model: Folder) -> None:
    teacher = load(f"{model('depth-anything')},size=56x84")
    assert teacher.input_size == (56, 84) and teacher(BYTES.float() / 255).depth.shape[-2:] == (56, 84)
    assert load(f"{model('glpn')},size=64x64")(BYTES.float() / 255).depth.shape[-2:] == (64, 64)
    for spec, words in (
        (f"{model('depth-anything')},size=60x84", "use size=56x84"),
        (f"{model('glpn')},size=60x90", "use size=64x96"),
        (f"{model('dpt')},size=64x96", "sees squares only"),
        (f"{model('depth-pro')},size=112x112", "sees one size only"),
        (f"{model('dpt')},size=big", "is not HxW"),
    ):
        with pytest.raises(SpecError, match=words):
            load(spec)


def test_the_greatest_depth(model: Folder) -> None:
    image = BYTES.float() / 255
    for name, own in (("glpn", 10), ("depth-anything-metric", 20)):
        plain, scaled = load(model(name)), load(f"{model(name)},max_depth=80")
        assert scaled.depth_range == (0.0, 80.0) and scaled.bounded and scaled.read_out.clip is None
        assert torch.allclose(scaled(image).depth, plain(image).depth * 80 / own, rtol=1e-5)
    cut = load(f"{model('depth-pro')},max_depth=2")
    assert cut.depth_range == (0.0, 2.0) and cut.read_out.clip == (0.0, 2.0)
    assert final(cut, image).max() <= 2 < final(load(model("depth-pro")), image).max()
    with pytest.raises(SpecError, match="max_depth=0"):
        load(f"{model('glpn')},max_depth=0")


def test_the_kind_can_be_overridden(model: Folder) -> None:
    teacher = load(f"{model('dpt-dinov2')},kind=affine_depth")
    assert teacher.depth_kind is DepthKind.AFFINE_DEPTH is teacher(BYTES.float() / 255).kind
    with pytest.raises(SpecError, match="is not one of metric, scale_invariant"):
        load(f"{model('dpt')},kind=disparity")


def test_a_family_that_is_not_known_needs_its_kind() -> None:
    from types import SimpleNamespace

    from kdcli_huggingface.meaning import meaning_of

    with pytest.raises(SpecError, match="add kind=, one of metric, scale_invariant"):
        meaning_of(SimpleNamespace(model_type="chmv2"), None, None)
    told = meaning_of(SimpleNamespace(model_type="chmv2"), "metric", 60.0)
    assert told.kind is DepthKind.METRIC and told.read_out.clip == (0.0, 60.0)


def test_every_image_chooses_its_head(model: Folder) -> None:
    teacher = load(model("zoedepth-two-heads"))
    images = torch.cat([toy_batch(batch=1, size=(64, 96), seed=seed).image for seed in range(3)])
    heads = []
    teacher.network.metric_head.mlp_classifier.register_forward_hook(
        lambda module, given, logits: torch.tensor([[9.0, 0.0] if len(heads) % 2 else [0.0, 9.0]])
    )
    teacher.network.metric_head.seed_bin_regressors["nyu"].register_forward_hook(lambda *_: heads.append("nyu"))
    teacher.network.metric_head.seed_bin_regressors["kitti"].register_forward_hook(lambda *_: heads.append("kitti"))
    with torch.no_grad():
        teacher(images)
    assert heads == ["kitti", "nyu", "kitti"]
