"""Every second, every fourth pixel: ncnn has no slices with steps, and pools of one pixel do the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode


class Pooled(nn.Module):
    """A network as it is traced where slices must not have steps: those of height and width become pools."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Any:
        """Return what the network gives."""
        with _Pooling():
            return self.network(image)


class _Pooling(TorchFunctionMode):
    """Takes ``map[:, :, ::4, ::4]`` apart: what has a step of one is sliced, and the rest is pooled."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is torch.Tensor.__getitem__ and (steps := _steps(*args)) is not None:
            given, index = args
            whole = tuple(slice(one.start, one.stop) for one in index)
            cut = given if all(one == slice(None) for one in whole) else given[whole]
            return functional.max_pool2d(cut, 1, steps)
        return func(*args, **(kwargs or {}))


def _steps(given: Tensor, index: Any) -> tuple[int, int] | None:
    """Return the steps along height and width of a map B x C x H x W; None where no step is above one."""
    slices = index if isinstance(index, tuple) else (index,)
    if given.dim() != 4 or len(slices) != 4 or not all(isinstance(one, slice) for one in slices):
        return None
    batch, channels, height, width = (1 if one.step is None else int(one.step) for one in slices)
    return (height, width) if (batch, channels) == (1, 1) and max(height, width) > 1 else None
