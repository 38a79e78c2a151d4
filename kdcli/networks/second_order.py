"""Whether a network can be differentiated twice, and if not, which layer stands in the way."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn


def without_second_derivative(model: nn.Module, image: Tensor) -> str | None:
    """Return the layer of a depth model that has no second derivative, as 'PATH (CLASS)'; None where all have.

    The gradient of its depth with respect to the image is differentiated once more. Where PyTorch knows no formula,
    the layers are tried one by one on what entered them. image: B x 3 x H x W; the model itself is left alone.

    Raises:
        RuntimeError: the model cannot run on such an image.
    """
    tried = copy.deepcopy(model).train().requires_grad_(True)
    entered: dict[str, Tensor] = {}
    handles = [
        module.register_forward_pre_hook(_keeping(entered, path))
        for path, module in tried.named_modules() if path and not any(module.children())
    ]
    with torch.enable_grad(), torch.random.fork_rng(devices=[]):
        depth = tried(image.detach().clone().requires_grad_(True)).depth
        for handle in handles:
            handle.remove()
        if _twice(depth.float().sum(), [p for p in tried.parameters() if p.requires_grad]):
            return None
        for path, module in tried.named_modules():
            if path in entered:
                given = entered[path].detach().clone().requires_grad_(True)
                out = module(given.clone())  # which a layer may overwrite
                if isinstance(out, Tensor) and out.requires_grad and not _twice(out.float().sin().sum(), [given]):
                    return f"{path} ({type(module).__name__})"
    return type(model).__name__


_SIGNS = ("not implemented", "not differentiable", "does not require", "differentiate twice")


def _keeping(entered: dict[str, Tensor], path: str) -> Any:
    def hook(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if inputs and isinstance(inputs[0], Tensor) and inputs[0].is_floating_point():
            entered[path] = inputs[0]

    return hook


def _twice(value: Tensor, towards: list[Any]) -> bool:
    """Whether the gradient of a scalar can be differentiated again."""
    try:
        first = torch.autograd.grad(value, towards, create_graph=True, allow_unused=True)
        again = sum((part.square().sum() for part in first if part is not None), value.new_zeros(()))
        if again.requires_grad:
            # All the way back: what can be differentiated once only does not lie on the way to the parameters.
            torch.autograd.backward(again)
    except RuntimeError as error:  # "derivative for aten::... is not implemented"
        if any(sign in str(error) for sign in _SIGNS):
            return False
        raise
    return True
