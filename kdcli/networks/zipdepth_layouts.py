"""The three layouts of ZipDepth's weights, and the arithmetic from the one that trains to those that only run.

``branches``: a 3x3 and a 1x1 convolution, each with its batch norm, side by side, as trained and as released.
``fused``: the authors' first step, a block's branches summed into one 3x3 convolution ``fused_conv`` with a bias.
``folded``: their second, the batch norms inside of a ``Sequential`` folded into the convolutions before them, too.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Literal

import torch
from torch import Tensor

Layout = Literal["branches", "fused", "folded"]

EPS = 1e-5
"""What every batch norm of the network adds to a variance."""

_BLOCK = re.compile(r"(.+)\.branch_3x3\.0\.weight")
_INNER = re.compile(r"(.+)\.(\d+)\.weight")


def layout_of(state: Mapping[str, Tensor]) -> Layout:
    """Return the layout of weights under the authors' names."""
    if not any(".fused_conv." in name for name in state):
        return "branches"
    return "folded" if any(name.endswith("gate_conv.0.bias") for name in state) else "fused"


def fused(state: Mapping[str, Tensor], shortcuts: Collection[str] | None = None) -> dict[str, Tensor]:
    """Return weights of ``branches`` as ``fused``; those of another layout as they are.

    The shortcut of a block has no norm of its own: it is one in the middle of the kernel. A block has one where it
    neither changes the number of channels nor halves the map, and none of the whole network halves without changing. Of
    one whose channels were cut, ``shortcuts`` are the names of the blocks that have one.
    """
    made = {name: value for name, value in state.items() if ".branch_" not in name}
    for name, value in state.items():
        if not (found := _BLOCK.fullmatch(name)):
            continue
        block = found[1]
        kernel, bias = _with_norm(value.double(), state, f"{block}.branch_3x3.1")
        point, more = _with_norm(state[f"{block}.branch_1x1.0.weight"].double(), state, f"{block}.branch_1x1.1")
        kernel[:, :, 1, 1] += point[:, :, 0, 0]
        if kernel.shape[0] == kernel.shape[1] if shortcuts is None else block in shortcuts:
            kernel[:, :, 1, 1] += torch.eye(len(kernel), dtype=kernel.dtype, device=kernel.device)
        made[f"{block}.fused_conv.weight"] = kernel.to(value.dtype)
        made[f"{block}.fused_conv.bias"] = (bias + more).to(value.dtype)
    return made


def folded(state: Mapping[str, Tensor], shortcuts: Collection[str] | None = None) -> dict[str, Tensor]:
    """Return weights of any layout as ``folded``; shortcuts: as of ``fused``."""
    made = fused(state, shortcuts)
    for name, value in list(made.items()):
        found = _INNER.fullmatch(name)
        norm = f"{found[1]}.{int(found[2]) + 1}" if found else ""
        if f"{norm}.running_var" not in made:
            continue
        kernel, bias = _with_norm(value.double(), made, norm)
        own = f"{name.removesuffix('weight')}bias"
        if own in made:
            bias = bias + made[own].double() * _gain(made, norm)
        made[name], made[own] = kernel.to(value.dtype), bias.to(value.dtype)
        for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
            made.pop(f"{norm}.{part}", None)
    return made


def _gain(state: Mapping[str, Tensor], norm: str) -> Tensor:
    return state[f"{norm}.weight"].double() / (state[f"{norm}.running_var"].double() + EPS).sqrt()


def _with_norm(kernel: Tensor, state: Mapping[str, Tensor], norm: str) -> tuple[Tensor, Tensor]:
    """Return kernel and bias of a convolution without bias and the norm after it, as one; float64."""
    gain = _gain(state, norm)
    bias = state[f"{norm}.bias"].double() - state[f"{norm}.running_mean"].double() * gain
    return kernel * gain.view(-1, 1, 1, 1), bias
