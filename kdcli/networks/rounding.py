"""Convolutions in eight bits: their weights and what they read, rounded as a file in eight bits has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

LEAST = 1e-12
"""Step of numbers that are all zero."""
_CONVOLUTIONS = (torch.conv2d, functional.conv2d)
Change = Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]]
"""From the number of a convolution, its input and its weight to those that it is run with."""


class Convolutions(TorchFunctionMode):
    """Hand each convolution that runs to ``change``, by number; whatever module or function it is called from."""

    def __init__(self, change: Change) -> None:
        super().__init__()
        self.change, self.count = change, 0

    def __torch_function__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        """Run a function of torch, changed where it is a convolution."""
        more = dict(kwargs or {})
        if func in _CONVOLUTIONS:
            rest = list(args)
            image = rest.pop(0) if rest else more.pop("input")
            weight = rest.pop(0) if rest else more.pop("weight")
            number, self.count = self.count, self.count + 1
            args = (*self.change(number, image, weight), *rest)
        return func(*args, **more)


class EightBits(Convolutions):
    """Run a network's convolutions as they are in eight bits, but the last, which every file keeps in float.

    Weights by output channel, so that a norm folded into them later changes nothing; what a convolution reads over the
    range that it has in the batch. Gradients pass as if nothing were rounded (the straight-through estimator of Bengio,
    Leonard and Courville 2013).
    """

    def __init__(self, count: int) -> None:
        """count: of the convolutions that the network runs."""
        super().__init__(self._rounded)
        self._last = count - 1

    def _rounded(self, number: int, image: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        return (image, weight) if number == self._last else (rounded_map(image), rounded(weight))


def unchanged(_: int, image: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Leave a convolution as it is: for who only counts them."""
    return image, weight


def rounded(weight: Tensor) -> Tensor:
    """Return the weight of a convolution, C x ... , in steps of 1/127 of each output channel's largest number."""
    steps = weight.detach().abs().flatten(1).amax(1).float().clamp(min=LEAST) / 127
    middles = torch.zeros_like(steps, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight.float(), steps, middles, 0, -127, 127)


def rounded_map(image: Tensor) -> Tensor:
    """Return numbers in 255 steps from the smallest to the largest of them, with zero among these steps."""
    numbers = image.float()
    least, most = torch.aminmax(numbers.detach())
    low, high = least.clamp(max=0), most.clamp(min=0)
    step = ((high - low) / 255).clamp(min=LEAST)
    zero = (-low / step).round().to(torch.int32)
    return torch.fake_quantize_per_tensor_affine(numbers, step, zero, 0, 255)
