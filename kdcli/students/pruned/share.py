"""How many channels each layer keeps, so that a network keeps a share of its multiply-adds, and which ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from kdcli.errors import SpecError
from kdcli.students.pruned.channels import ChannelSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one layer does: numbers of output channels, of input channels that each of them reads, and of products for
    one pair of them."""

    out: int
    reads: int
    pair: int
    grouped: int
    """Groups of a convolution; ``reads`` of a depthwise one is always 1."""

    def multiply_adds(self, out: int, inputs: int) -> int:
        """Return those of the layer with so many channels."""
        reads = self.reads if self.reads == 1 and self.grouped > 1 else inputs // self.grouped
        return out * reads * self.pair


def work_of(network: nn.Module, image: Tensor) -> dict[str, Work]:
    """Return what the convolutions and matrix products with weights do for one image, by layer."""
    found: dict[str, Work] = {}

    def look(name: str) -> Any:
        def hook(module: nn.Conv2d | nn.Linear, _: object, output: Tensor) -> None:
            out, reads, *kernel = module.weight.shape
            # A layer that is run several times does its work as often.
            pair = output.numel() // out * math.prod(kernel) + (found[name].pair if name in found else 0)
            grouped = 1 if isinstance(module, nn.Linear) else module.groups
            found[name] = Work(out=out, reads=reads, pair=pair, grouped=grouped)
        return hook

    hooks = [module.register_forward_hook(look(name)) for name, module in network.named_modules()
             if isinstance(module, nn.Conv2d | nn.Linear)]
    with torch.no_grad():
        network(image)
    for one in hooks:
        one.remove()
    return found


class Narrowing:
    """The choice for one network: layers lose the same share of their channels, as far as ``multiple`` lets them."""

    def __init__(self, sets: Sequence[ChannelSet], work: Mapping[str, Work], multiple: int) -> None:
        self._sets, self._work, self._multiple = sets, work, multiple
        self._whole = self._cost({})

    def at(self, keep: float) -> tuple[dict[str, list[int]], float]:
        """Return the channels to cut, by the sets' roots, and the share of the multiply-adds that is kept then.

        It is the share nearest to ``keep`` that there is.

        Raises:
            SpecError: it cannot be had.
        """
        if keep == 1:
            return {}, 1.0
        widths = sorted({width for one in self._sets for width in self._turns(one)} | {1.0})
        low, high = 0, len(widths) - 1  # costs grow with the width
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self._share(widths[middle]) < keep else (low, middle)
        width = min(widths[max(low - 1, 0) : low + 1], key=lambda one: (abs(self._share(one) - keep), one))
        cut = self._cut(width)
        share = self._share(width)
        if low == 0 and share > keep + 0.02:
            rest = "" if self._multiple == 1 else "; multiple=1 cuts more finely"
            raise SpecError(f"keep={keep:g} cannot be had: the narrowest that its layers can be cut to keeps "
                            f"{share:.3f} of the multiply-adds{rest}")
        return cut, share

    def _share(self, width: float) -> float:
        return self._cost(self._cut(width)) / self._whole

    def _cost(self, cut: Mapping[str, Sequence[int]]) -> int:
        lost: dict[tuple[str, bool], int] = {}
        for one in self._sets:
            gone = frozenset(cut.get(one.root, ()))
            for side in one.sides if gone else ():
                key = side.layer, side.out
                lost[key] = lost.get(key, 0) + sum(root in gone for root in side.roots)
        total = 0
        for layer, work in self._work.items():
            out = work.out - lost.get((layer, True), 0)
            total += work.multiply_adds(out, work.reads * work.grouped - lost.get((layer, False), 0))
        return total

    def _cut(self, width: float) -> dict[str, list[int]]:
        found = {one.root: _least(one, len(one.importance) - self._kept(one, width)) for one in self._sets}
        return {root: places for root, places in found.items() if places}

    def _step(self, one: ChannelSet) -> int:
        return math.lcm(self._multiple, one.parts)

    def _kept(self, one: ChannelSet, width: float) -> int:
        count, step = len(one.importance), self._step(one)
        nearest = math.floor(count * width / step + 0.5 + 1e-9) * step
        return min(max(nearest, step), count)

    def _turns(self, one: ChannelSet) -> list[float]:
        """Return the widths from which a set keeps another number of channels."""
        count, step = len(one.importance), self._step(one)
        return [min((kept - step / 2) / count, 1.0) for kept in range(step, count + step, step)]


def _least(one: ChannelSet, lost: int) -> list[int]:
    """Return the places that count least, alike in every part; of equals the first ones."""
    part = len(one.importance) // one.parts
    order = one.importance.view(one.parts, part).mean(0).argsort(stable=True)[: lost // one.parts].tolist()
    return sorted(place + i * part for i in range(one.parts) for place in order)
