"""The tensor form of the processors against the processors themselves."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from kdcli_huggingface.preprocess import Plan, Preprocess, plan_of
from torch import Tensor
from torch.nn import functional
from transformers import (
    DepthProImageProcessor,
    DPTImageProcessor,
    GLPNImageProcessor,
    PromptDepthAnythingImageProcessor,
    ZoeDepthImageProcessor,
)

from kdcli.errors import ConfigError, SpecError

IMAGENET: dict[str, Any] = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
PROCESSORS: dict[str, Any] = {
    "dpt": DPTImageProcessor(),
    "dpt-bilinear": DPTImageProcessor(size={"height": 96, "width": 160}, resample=2),
    "dpt-ratio": DPTImageProcessor(size={"height": 70, "width": 70}, keep_aspect_ratio=True, ensure_multiple_of=14),
    "dpt-padded": DPTImageProcessor(size={"height": 50, "width": 61}, do_pad=True, size_divisor=16, **IMAGENET),
    "dpt-plain": DPTImageProcessor(size={"height": 64, "width": 64}, do_normalize=False),
    "prompt": PromptDepthAnythingImageProcessor(size={"height": 56, "width": 90}, ensure_multiple_of=14),
    "glpn": GLPNImageProcessor(),
    "glpn-16": GLPNImageProcessor(size_divisor=16),
    "zoedepth": ZoeDepthImageProcessor(size={"height": 64, "width": 96}, ensure_multiple_of=32),
    "zoedepth-default": ZoeDepthImageProcessor(),
    "zoedepth-bare": ZoeDepthImageProcessor(do_pad=False, keep_aspect_ratio=False, resample=3),
    "depth-pro": DepthProImageProcessor(size={"height": 112, "width": 112}),
}
SIZES = ((75, 101), (60, 47), (120, 200))


def smooth(size: tuple[int, int]) -> Tensor:
    """An image well within 0..1, whose resizing neither rounds nor overshoots."""
    torch.manual_seed(1)
    return functional.interpolate(0.3 + 0.4 * torch.rand(2, 3, 9, 11), size=size, mode="bilinear")


def ours(processor: Any, image: Tensor, size: str | None = None, step: int = 1) -> Tensor:
    found: Tensor = Preprocess(plan_of(processor.to_dict(), size, step))(image)
    return found


def level(processor: Any) -> float:
    """One step of a byte as the network sees it; a little more, since filters on bytes round their weights too."""
    deviation = min(processor.image_std) if processor.to_dict().get("do_normalize") else 1.0
    return float(1.3 / 255 / deviation)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", PROCESSORS)
def test_numbers_are_the_processors(name: str, size: tuple[int, int]) -> None:
    processor, image = PROCESSORS[name], smooth(size)
    wanted = processor(images=list(image), do_rescale=False, return_tensors="pt")["pixel_values"]
    found = ours(processor, image)
    assert found.shape == wanted.shape
    # Processors that resize with Pillow cut floats off to bytes before.
    exact = getattr(processor, "backend", "pil") == "torchvision"
    assert torch.allclose(found, wanted, atol=2e-5 if exact else 2 * level(processor), rtol=0)


@pytest.mark.parametrize("name", PROCESSORS)
def test_bytes_differ_by_their_rounding(name: str) -> None:
    processor = PROCESSORS[name]
    torch.manual_seed(2)
    pixels = torch.randint(256, (1, 3, 75, 101), dtype=torch.uint8)
    wanted = processor(images=list(pixels), return_tensors="pt")["pixel_values"]
    assert (ours(processor, pixels.float() / 255) - wanted).abs().max() < level(processor)


def test_processors_that_do_not_rescale_see_bytes() -> None:
    processor = DPTImageProcessor(do_resize=False, do_rescale=False, image_mean=[120.0] * 3, image_std=[60.0] * 3)
    pixels = torch.randint(256, (1, 3, 28, 42), dtype=torch.uint8)
    wanted = processor(images=list(pixels), return_tensors="pt")["pixel_values"]
    assert torch.allclose(ours(processor, pixels.float() / 255), wanted, atol=1e-5)


@pytest.mark.parametrize("name", PROCESSORS)
def test_a_gradient_reaches_every_pixel(name: str) -> None:
    image = smooth((75, 101)).requires_grad_()
    weights = torch.rand_like(ours(PROCESSORS[name], image))
    (ours(PROCESSORS[name], image) * weights).sum().backward()
    assert image.grad is not None and torch.isfinite(image.grad).all()
    assert (image.grad != 0).float().mean() > (0.5 if name == "depth-pro" or "zoe" in name else 0.99)


def test_a_size_replaces_the_rule() -> None:
    for processor in PROCESSORS.values():
        assert ours(processor, smooth((75, 101)), size="32x64").shape == (2, 3, 32, 64)
    with pytest.raises(SpecError, match="no multiple of 14, which this network needs; use size=28x70"):
        ours(PROCESSORS["dpt"], smooth((75, 101)), size="32x64", step=14)


def test_the_size_that_is_the_same_for_every_image() -> None:
    def fixed(name: str, size: str | None = None) -> tuple[int, int] | None:
        return plan_of(PROCESSORS[name].to_dict(), size, 1).fixed

    assert fixed("dpt") == (384, 384) and fixed("dpt-padded") == (64, 64) and fixed("prompt") == (56, 84)
    assert fixed("dpt-ratio") is None and fixed("glpn") is None and fixed("zoedepth") is None
    assert fixed("zoedepth", "32x64") == (32, 64) and fixed("dpt-padded", "32x60") == (32, 64)


def test_processors_of_other_families() -> None:
    settings = {
        "image_processor_type": "NewImageProcessor", "do_resize": True, "size": {"height": 28, "width": 56},
        "resample": 2, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": 0.5,
        "image_std": [0.25, 0.25, 0.25],
    }
    plan = plan_of(settings, None, 14)
    assert plan == Plan(target=(28, 56), mean=(0.5,) * 3, deviation=(0.25,) * 3)
    with pytest.raises(ConfigError, match=r"cuts images \(do_center_crop\)"):
        plan_of({**settings, "do_center_crop": True}, None, 14)
    with pytest.raises(ConfigError, match="filter 5"):
        plan_of({**settings, "resample": 5}, None, 14)
    with pytest.raises(SpecError, match="add size=HxW"):
        plan_of({**settings, "size": {"shortest_edge": 224}}, None, 14)
    assert plan_of({**settings, "size": {"shortest_edge": 224}}, "28x56", 14) == plan
