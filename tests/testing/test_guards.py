from __future__ import annotations

import pytest
import torch

from kdcli.testing.guards import no_waiting
from kdcli.testing.report import Failure


def test_whatever_makes_the_host_wait_is_found() -> None:
    values = torch.arange(6.0)
    mask = values > 2
    acts = {
        "_local_scalar_dense": lambda: float(values.sum()), "index": lambda: values[mask],
        "nonzero": lambda: torch.where(mask), "tolist": lambda: values.tolist(), "numpy": lambda: values.numpy(),
        "cpu": lambda: values.cpu(), "masked_select": lambda: values.masked_select(mask),
        "_unique2": lambda: values.unique(), "index_put_": lambda: values.clone().__setitem__(mask, values[:3]),
    }
    for name, act in acts.items():
        with pytest.raises(Failure, match=rf"{name} at test_guards\.py"), no_waiting():
            act()
    with no_waiting():
        torch.where(mask, values, 0.0).cumsum(0)[torch.tensor([0, 2])].clamp(0)


def test_the_backward_pass_is_watched() -> None:
    class Waits(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: torch.Tensor) -> torch.Tensor:
            return x * 2

        @staticmethod
        def backward(ctx: object, gradient: torch.Tensor) -> torch.Tensor:
            return gradient * float(gradient.sum())

    x = torch.ones(3, requires_grad=True)
    with pytest.raises(Failure, match="_local_scalar_dense"), no_waiting():
        Waits.apply(x).sum().backward()
