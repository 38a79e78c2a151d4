"""Convolutions, pools, norms and products of matrices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def conv(
    x: Tensor, weight: Tensor, pad_type: str, strides: Tensor | None = None, pad: Tensor | None = None,
    dilations: Tensor | None = None, groups: int = 1, bias: Tensor | None = None,
) -> Tensor:
    """Convolution of maps B x C x h x w; weight: out x in / groups x kernel."""
    _plane(x)
    steps, spread = _each(strides, 1), _each(dilations, 1)
    wide = [(int(k) - 1) * gap + 1 for k, gap in zip(weight.shape[2:], spread, strict=True)]
    around = _around(pad_type, pad, wide, steps)
    return functional.conv2d(_padded(x, around, 0.0), weight, bias, steps, 0, spread, groups)


def conv_transpose(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, pad: Tensor | None = None,
    output_shape: Tensor | None = None, pad_type: str = "valid", strides: Tensor | None = None,
    dilations: Tensor | None = None, groups: int = 1,
) -> Tensor:
    """What a convolution does the other way: all that each number adds to, less ``pad`` at the sides."""
    _plane(x)
    around = [0] * 4 if pad_type == "valid" else _ints(pad) if pad_type == "custom" else None
    if around is None:
        raise ValueError(f"conv_transpose with pad_type '{pad_type}' is not known here")
    whole = functional.conv_transpose2d(x, weight, None, _each(strides, 1), 0, 0, groups, _each(dilations, 1))
    ends = [int(whole.shape[2]) - around[1], int(whole.shape[3]) - around[3]]
    if output_shape is not None:
        wanted = _ints(output_shape)[-2:]
        ends = [around[0] + wanted[0], around[2] + wanted[1]]
    kept = whole[:, :, around[0] : ends[0], around[2] : ends[1]]
    return kept if bias is None else kept + bias.view(1, -1, 1, 1)


def max_pool(
    x: Tensor, kernel_sizes: Tensor, pad_type: str, strides: Tensor | None = None, pad: Tensor | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """The largest number in each window."""
    _plane(x)
    kernel, steps = _ints(kernel_sizes), _each(strides, 1)
    around = _around(pad_type, pad, kernel, steps)
    if ceil_mode:
        around = _ceiled(x, kernel, steps, around)
    return functional.max_pool2d(_padded(x, around, -torch.inf), kernel, steps)


def avg_pool(
    x: Tensor, kernel_sizes: Tensor, pad_type: str, strides: Tensor | None = None, pad: Tensor | None = None,
    exclude_padding_from_average: bool = False, ceil_mode: bool = False,
) -> Tensor:
    """The mean of each window; what is beside the map counts as zeros, or not at all."""
    _plane(x)
    kernel, steps = _ints(kernel_sizes), _each(strides, 1)
    around = _around(pad_type, pad, kernel, steps)
    beyond = _ceiled(x, kernel, steps, around) if ceil_mode else around
    counted = _padded(torch.ones_like(x[:1, :1]), around, 0.0 if exclude_padding_from_average else 1.0)
    counted = _padded(counted, [more - had for more, had in zip(beyond, around, strict=True)], 0.0)
    total = functional.avg_pool2d(_padded(x, beyond, 0.0), kernel, steps)
    return total / functional.avg_pool2d(counted, kernel, steps)


def batch_norm(x: Tensor, mean: Tensor, variance: Tensor, gamma: Tensor | None = None, beta: Tensor | None = None,
               epsilon: float = 1e-5) -> Tensor:
    """Normalise each channel by stored statistics."""
    shape = (1, -1, *(1,) * (x.ndim - 2))
    return _scaled((x - mean.view(shape)) / torch.sqrt(variance.view(shape) + epsilon), gamma, beta, shape)


def instance_norm(x: Tensor, gamma: Tensor | None = None, beta: Tensor | None = None, epsilon: float = 1e-5) -> Tensor:
    """Normalise each channel of each image by its own statistics."""
    axes = tuple(range(2, x.ndim))
    apart = x - x.mean(axes, keepdim=True)
    whole = apart / torch.sqrt((apart * apart).mean(axes, keepdim=True) + epsilon)
    return _scaled(whole, gamma, beta, (1, -1, *(1,) * (x.ndim - 2)))


def layer_norm(x: Tensor, axes: Tensor | None = None, gamma: Tensor | None = None, beta: Tensor | None = None,
               epsilon: float = 1e-5) -> Tensor:
    """Normalise along axes by their own statistics; gamma and beta have the shape of these axes."""
    chosen = sorted(one % x.ndim for one in (range(x.ndim) if axes is None else _ints(axes)))
    apart = x - x.mean(chosen, keepdim=True)
    whole = apart / torch.sqrt((apart * apart).mean(chosen, keepdim=True) + epsilon)
    return _scaled(whole, gamma, beta, tuple(int(side) if i in chosen else 1 for i, side in enumerate(x.shape)))


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x W^T + b``."""
    made = x @ weight.transpose(-1, -2)
    return made if bias is None else made + bias


def matmul(x: Tensor, y: Tensor, transpose_x: bool = False, transpose_y: bool = False) -> Tensor:
    """Product of matrices, either of them turned first."""
    return (x.transpose(-1, -2) if transpose_x else x) @ (y.transpose(-1, -2) if transpose_y else y)


def _plane(x: Tensor) -> None:
    if x.ndim != 4:
        raise ValueError(f"a layer over {x.ndim - 2} axes is not known here, over height and width alone")


def _ints(values: Tensor | None) -> list[int]:
    return [0] * 4 if values is None else [int(one) for one in values]


def _each(values: Tensor | None, otherwise: int) -> list[int]:
    return [otherwise] * 2 if values is None else _ints(values)


def _around(pad_type: str, pad: Tensor | None, kernel: Sequence[int], steps: Sequence[int]) -> list[int]:
    """Return top, bottom, left, right. kernel: with its gaps.

    Raises:
        ValueError: the definition of ``same`` speaks of one step and of two sides alike, and leaves the rest open.
    """
    if pad_type == "valid":
        return [0] * 4
    if pad_type == "custom":
        return _ints(pad)
    if any(step != 1 for step in steps) or any(size % 2 == 0 for size in kernel):
        raise ValueError(f"pad_type '{pad_type}' is known here for single steps and odd kernels alone")
    return [size // 2 for size in kernel for _ in range(2)]


def _padded(x: Tensor, around: Sequence[int], value: float) -> Tensor:
    top, bottom, left, right = around
    return functional.pad(x, (left, right, top, bottom), value=value) if any(around) else x


def _ceiled(x: Tensor, kernel: Sequence[int], steps: Sequence[int], around: Sequence[int]) -> list[int]:
    """Return the padding with what the last window, begun inside of map or padding before it, needs beyond the end."""
    wide = list(around)
    for i, side in enumerate(x.shape[2:]):
        before, after = around[2 * i], around[2 * i + 1]
        windows = -(-(int(side) + before + after - kernel[i]) // steps[i]) + 1
        if (windows - 1) * steps[i] >= int(side) + before:
            windows -= 1
        wide[2 * i + 1] = max(after, (windows - 1) * steps[i] + kernel[i] - int(side) - before)
    return wide


def _scaled(x: Tensor, gamma: Tensor | None, beta: Tensor | None, shape: tuple[int, ...]) -> Tensor:
    x = x if gamma is None else x * gamma.view(shape)
    return x if beta is None else x + beta.view(shape)


TABLE: Mapping[str, Callable[..., Any]] = {
    "conv": conv, "conv_transpose": conv_transpose, "max_pool": max_pool, "avg_pool": avg_pool,
    "batch_norm": batch_norm, "instance_norm": instance_norm, "layer_norm": layer_norm, "linear": linear,
    "matmul": matmul,
}  # fmt: skip
