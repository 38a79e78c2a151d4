"""Narrow strided convolutions of one pixel learn from the pixels that they look at, and are themselves elsewhere."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

import kdcli
from kdcli.networks.subsampling import NARROW, Subsampled, subsampled
from kdcli.plugins import registry


class Narrow(TorchFunctionMode):
    """Count convolutions of one pixel that leave pixels out, of few channels, whose weight learns."""

    def __init__(self) -> None:
        super().__init__()
        self.strided, self.seen = 0, 0

    def __torch_function__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        if func in (torch.conv2d, functional.conv2d):
            image, weight, *rest = args
            stride = rest[1] if len(rest) > 1 else (kwargs or {}).get("stride", 1)
            learns = torch.is_grad_enabled() and weight.requires_grad
            self.seen += learns
            many = max(stride) if isinstance(stride, tuple) else stride
            self.strided += learns and weight.shape[-2:] == (1, 1) and many > 1 and image.shape[1] < NARROW
        return func(*args, **dict(kwargs or {}))


@pytest.mark.parametrize("stride", [2, 3, (1, 2)])
@pytest.mark.parametrize("size", [(24, 32), (25, 31)])
def test_numbers_and_gradients_are_the_same(stride: int | tuple[int, int], size: tuple[int, int]) -> None:
    plain = nn.Conv2d(3, 8, 1, stride)
    other = subsampled(copy.deepcopy(plain).to(memory_format=torch.channels_last))
    assert type(other) is Subsampled and other.state_dict().keys() == plain.state_dict().keys()
    image = torch.rand(2, 3, *size)
    ways: list[tuple[Tensor, nn.Module]] = [(image, plain)]
    ways.append((image.contiguous(memory_format=torch.channels_last), other))
    found = []
    for way, conv in ways:
        asked = way.clone().requires_grad_()
        depth = conv(asked)
        depth.square().sum().backward()
        found.append([depth, asked.grad, *(one.grad for one in conv.parameters())])
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-5)


def test_all_others_stay_what_they_are() -> None:
    wide, slow, large = nn.Conv2d(16, 8, 1, 2), nn.Conv2d(3, 8, 1), nn.Conv2d(3, 8, 3, 2)
    padded, grouped = nn.Conv2d(3, 8, 1, 2, 1), nn.Conv2d(8, 8, 1, 2, groups=8)
    model = nn.Sequential(wide, slow, large, padded, grouped, nn.ReLU())
    assert not any(isinstance(one, Subsampled) for one in subsampled(model).modules())


def test_evaluation_and_files_have_the_convolution_itself() -> None:
    conv = subsampled(nn.Conv2d(3, 8, 1, 2)).eval().requires_grad_(False)
    graph = torch.export.export(conv, (torch.rand(1, 3, 8, 8),)).graph
    assert [str(node.target) for node in graph.nodes if node.op == "call_function"] == ["aten.conv2d.default"]


@pytest.mark.parametrize("name", ["timm:mobileone_s0"])
def test_a_stem_with_branches_has_such_a_convolution_and_trains(name: str, tmp_path: Path) -> None:
    student = subsampled(registry.build("student", name))
    assert sum(isinstance(one, Subsampled) for one in student.modules()) == 1
    config = kdcli.configure(
        "plain", student=name, steps=3, data="sim:blocks,count=8", size="32x64", batch_size=2, twin=False,
        eval_data="none", export="onnx", loggers=["none"],
    )
    with Narrow() as watched:
        run = kdcli.distill(config, out=tmp_path / "run", device="cpu")
    assert watched.seen > 100 and watched.strided == 0
    assert (tmp_path / "run" / "student.onnx").is_file() and run is not None
