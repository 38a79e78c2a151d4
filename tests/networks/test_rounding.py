"""Convolutions in eight bits: known steps, gradients that pass, and the last one as it is."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from kdcli.networks.rounding import Convolutions, EightBits, rounded, rounded_map, unchanged


@pytest.mark.parametrize(("low", "high"), [(-3.0, 5.0), (0.0, 1.0), (2.0, 4.0), (-7.0, -1.0)])
def test_numbers_lie_in_255_steps_with_zero_among_them(low: float, high: float) -> None:
    numbers = torch.linspace(low, high, 4001).view(1, 1, 1, -1)
    step = (max(high, 0.0) - min(low, 0.0)) / 255
    found = rounded_map(numbers)
    assert float((found - numbers).abs().max()) <= step * 0.501
    steps = found / step
    assert torch.allclose(steps, steps.round(), atol=1e-3)
    assert float(rounded_map(torch.cat([numbers, torch.zeros(1, 1, 1, 1)], dim=-1))[0, 0, 0, -1]) == 0


def test_weights_have_a_step_for_each_output_channel() -> None:
    weight = torch.randn(3, 2, 3, 3) * torch.tensor([0.01, 1.0, 100.0]).view(3, 1, 1, 1)
    steps = weight.abs().flatten(1).amax(1) / 127
    found = rounded(weight)
    assert bool(((found - weight).abs().flatten(1).amax(1) <= 0.501 * steps).all())
    factors = torch.tensor([3.0, 0.2, 7.0]).view(3, 1, 1, 1)
    assert torch.allclose(rounded(weight * factors), found * factors)  # a norm folded in later changes nothing
    assert bool(torch.isfinite(rounded(torch.zeros(2, 1, 1, 1))).all())


def test_gradients_pass_as_if_nothing_were_rounded_and_the_last_stays() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 1, 3))
    image = torch.rand(2, 3, 12, 12)
    with Convolutions(unchanged) as counting:
        plain = net(image)
    assert counting.count == 2
    with EightBits(counting.count):
        found = net(image)
    first, last = net
    assert isinstance(first, nn.Conv2d) and isinstance(last, nn.Conv2d)
    inner = torch.conv2d(rounded_map(image), rounded(first.weight), first.bias)
    assert torch.equal(found, torch.conv2d(inner, last.weight, last.bias)) and not torch.equal(found, plain)
    found.sum().backward()
    given = first.weight.grad
    net.zero_grad()
    through: Tensor = torch.conv2d(rounded_map(image), first.weight, first.bias)
    torch.conv2d(through, last.weight, last.bias).sum().backward()
    assert given is not None and first.weight.grad is not None
    assert torch.allclose(given, first.weight.grad, atol=1e-5)
