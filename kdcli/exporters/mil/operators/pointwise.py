"""Operators on each number for itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

Number = Tensor | float | int


def _tensor(x: Number) -> Tensor:
    return torch.as_tensor(x)


def _unary(compute: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    def run(x: Number) -> Tensor:
        return compute(_tensor(x))

    return run


def _binary(compute: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    def run(x: Number, y: Number) -> Tensor:
        return compute(_tensor(x), _tensor(y))

    return run


def clip(x: Tensor, alpha: float, beta: float) -> Tensor:
    """Between alpha and beta."""
    return x.clamp(alpha, beta)


def sigmoid_hard(x: Tensor, alpha: float, beta: float) -> Tensor:
    """A line from 0 to 1."""
    return (alpha * x + beta).clamp(0.0, 1.0)


def leaky_relu(x: Tensor, alpha: float) -> Tensor:
    """Negative numbers times alpha."""
    return torch.where(x >= 0, x, alpha * x)


def prelu(x: Tensor, alpha: Tensor) -> Tensor:
    """Negative numbers times alpha, which is one for each channel."""
    return torch.where(x > 0, x, alpha.view(1, -1, *(1,) * (x.ndim - 2)) * x)


def thresholded_relu(x: Tensor, alpha: float) -> Tensor:
    """Zero below alpha."""
    return torch.where(x >= alpha, x, torch.zeros_like(x))


def elu(x: Tensor, alpha: float) -> Tensor:
    """Negative numbers to ``alpha * (e^x - 1)``."""
    return torch.where(x > 0, x, alpha * torch.expm1(x))


def gelu(x: Tensor, mode: str = "EXACT") -> Tensor:
    """Gaussian error unit, exact or by one of two approximations."""
    if mode == "EXACT":
        return 0.5 * x * (1 + torch.erf(x / 2**0.5))
    if mode == "TANH_APPROXIMATION":
        return 0.5 * x * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3)))
    return x * torch.sigmoid(1.702 * x)


def softplus(x: Tensor) -> Tensor:
    """``log(1 + e^x)``, without overflow."""
    return torch.logaddexp(x, torch.zeros_like(x))


def log(x: Tensor, epsilon: float = 1e-45) -> Tensor:
    """``log(x + epsilon)``."""
    return torch.log(x + epsilon)


def rsqrt(x: Tensor, epsilon: float = 1e-12) -> Tensor:
    """``1 / sqrt(x + epsilon)``."""
    return 1 / torch.sqrt(x + epsilon)


def inverse(x: Tensor, epsilon: float = 1e-4) -> Tensor:
    """``1 / (x + epsilon)``."""
    return 1 / (x + epsilon)


def select(cond: Any, a: Number, b: Number) -> Tensor:
    """``a`` where the condition holds, ``b`` elsewhere."""
    return torch.where(_tensor(cond), _tensor(a), _tensor(b))


def cast(x: Number, dtype: str) -> Tensor:
    """Another kind of number; what is kept in half is rounded where it is kept."""
    kinds = {"fp32": torch.float32, "fp16": torch.float32, "int32": torch.int64, "bool": torch.bool}
    if dtype not in kinds:
        raise ValueError(f"cast to {dtype} is not known here")
    return _tensor(x).to(kinds[dtype])


TABLE: Mapping[str, Callable[..., Any]] = {
    "abs": _unary(torch.abs), "ceil": _unary(torch.ceil), "cos": _unary(torch.cos), "erf": _unary(torch.erf),
    "exp": _unary(torch.exp), "floor": _unary(torch.floor), "identity": _unary(lambda x: x),
    "logical_not": _unary(torch.logical_not), "relu": _unary(lambda x: x.clamp(min=0.0)),
    "relu6": _unary(lambda x: x.clamp(0.0, 6.0)), "round": _unary(torch.round),
    "sigmoid": _unary(lambda x: 1 / (1 + torch.exp(-x))), "sign": _unary(torch.sign),
    "silu": _unary(lambda x: x / (1 + torch.exp(-x))), "sin": _unary(torch.sin),
    "softsign": _unary(lambda x: x / (1 + x.abs())), "sqrt": _unary(torch.sqrt), "square": _unary(lambda x: x * x),
    "tanh": _unary(torch.tanh),
    "add": _binary(torch.add), "sub": _binary(torch.sub), "mul": _binary(torch.mul), "real_div": _binary(torch.div),
    "floor_div": _binary(torch.floor_divide), "maximum": _binary(torch.maximum), "minimum": _binary(torch.minimum),
    "pow": _binary(torch.pow), "equal": _binary(torch.eq), "not_equal": _binary(torch.ne),
    "greater": _binary(torch.gt), "greater_equal": _binary(torch.ge), "less": _binary(torch.lt),
    "less_equal": _binary(torch.le), "logical_and": _binary(torch.logical_and), "logical_or": _binary(torch.logical_or),
    "clip": clip, "sigmoid_hard": sigmoid_hard, "leaky_relu": leaky_relu, "prelu": prelu, "elu": elu, "gelu": gelu,
    "thresholded_relu": thresholded_relu,
    "softplus": softplus, "log": log, "rsqrt": rsqrt, "inverse": inverse, "select": select, "cast": cast,
}  # fmt: skip
