"""Activations out of place: the same numbers, and no copy of what they would overwrite."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from kdcli.networks.activations import out_of_place


def network(activation: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), activation, nn.Conv2d(8, 1, 1))


def step(model: nn.Module, image: Tensor) -> tuple[Tensor, list[Tensor], int]:
    """Return value, gradients and the number of clones of a step."""
    with profile(activities=[ProfilerActivity.CPU]) as told:
        value = model(image).square().mean()
        value.backward()
    clones = sum(event.count for event in told.key_averages() if event.key == "aten::clone")
    return value.detach(), [p.grad for p in model.parameters() if p.grad is not None], clones


@pytest.mark.parametrize("kind", [nn.ReLU6, nn.Hardswish, nn.Hardsigmoid, nn.SiLU])
def test_numbers_stay_and_a_copy_is_spared(kind: type[nn.Module]) -> None:
    before = network(kind(inplace=True))
    after = out_of_place(copy.deepcopy(before))
    image = torch.randn(2, 3, 16, 16)
    (one, first, copied), (two, second, spared) = step(before, image), step(after, image)
    assert torch.equal(one, two) and all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert spared < copied


def test_those_that_need_only_what_came_out_stay_in_place() -> None:
    model = out_of_place(nn.Sequential(nn.ReLU(inplace=True), nn.LeakyReLU(inplace=True)))
    assert all(module.inplace for module in model)
