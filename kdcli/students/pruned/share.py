"""How many channels each layer keeps, so that a network keeps a share of its multiply-adds, and which ones."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from kdcli.errors import SpecError
from kdcli.students.pruned.channels import ChannelSet

SPARE = 0.02
"""Of the whole network's multiply-adds, by which more may be kept than was asked for."""
NEAR = 0.002
"""Of them, from which on nothing nearer is looked for."""

Step = tuple[float, int, int]
"""The width of layers below which a set, by its number, keeps so many channels."""


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
        self._queues = [_Queue(one) for one in sets]
        self._whole = self._cost({})
        steps = [(width, i, kept) for i, one in enumerate(sets) for width, kept in _steps(one, multiple)]
        self._steps: list[Step] = sorted(steps, key=lambda step: (-step[0], step[1]))

    def at(self, keep: float) -> tuple[dict[str, list[int]], float]:
        """Return the channels to cut, by the sets' roots, and the share of the multiply-adds that is kept then.

        It is the share nearest to ``keep`` that there is.

        Raises:
            SpecError: it cannot be had.
        """
        low, high = 0, len(self._steps)  # each step makes it cheaper
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self._share(self._steps[:middle]) > keep else (low, middle)
        found = min((self._nearer(low - 1, keep), self._steps[:low]), key=lambda taken: abs(self._share(taken) - keep))
        share = self._share(found)
        if share > keep + SPARE:
            rest = "" if self._multiple == 1 else "; multiple=1 cuts more finely"
            raise SpecError(f"keep={keep:g} cannot be had: the narrowest that its layers can be cut to keeps "
                            f"{share:.3f} of the multiply-adds{rest}")
        return self._cut(found), share

    def _nearer(self, count: int, keep: float) -> list[Step]:
        """Return the first so many steps and those of the others that bring the share nearer, not below.

        One step of a layer at a fine resolution may be a fifth of all multiply-adds.
        """
        taken, held = self._steps[: max(count, 0)], set()
        for step in self._steps[max(count, 0) :]:
            share = self._share([*taken, step])
            if step[1] in held or share < keep:
                held.add(step[1])
                continue
            taken.append(step)
            if share < keep + NEAR:
                break
        return taken

    def _share(self, steps: Sequence[Step]) -> float:
        return self._cost(_last(steps)) / self._whole

    def _cut(self, steps: Sequence[Step]) -> dict[str, list[int]]:
        return {self._sets[i].root: self._queues[i].first(kept) for i, kept in _last(steps).items()}

    def _cost(self, kept: Mapping[int, int]) -> int:
        lost: dict[tuple[str, bool], int] = {}
        for i, count in kept.items():
            for key, number in self._queues[i].lost(count):
                lost[key] = lost.get(key, 0) + number
        total = 0
        for layer, work in self._work.items():
            out = work.out - lost.get((layer, True), 0)
            total += work.multiply_adds(out, work.reads * work.grouped - lost.get((layer, False), 0))
        return total


class _Queue:
    """The channels of a set in the order in which they go: those that count least first, alike in every part."""

    def __init__(self, one: ChannelSet) -> None:
        self._parts, self._part = one.parts, len(one.importance) // one.parts
        self._order = one.importance.view(one.parts, self._part).mean(0).argsort(stable=True)
        self._lost: dict[tuple[str, bool], list[int]] = {}
        for side in one.sides:
            there = torch.bincount(torch.tensor(side.roots, dtype=torch.long), minlength=len(one.importance))
            going = there.view(one.parts, self._part).sum(0)[self._order].cumsum(0)
            before = self._lost.get((side.layer, side.out), [0] * (self._part + 1))
            self._lost[side.layer, side.out] = [a + b for a, b in zip(before, [0, *going.tolist()], strict=True)]

    def first(self, kept: int) -> list[int]:
        """Return the places that go where so many are kept; of equals the first ones."""
        order = self._order[: self._part - kept // self._parts].tolist()
        return sorted(place + i * self._part for i in range(self._parts) for place in order)

    def lost(self, kept: int) -> Iterator[tuple[tuple[str, bool], int]]:
        """Return how many channels each side of a layer loses then."""
        gone = self._part - kept // self._parts
        return ((key, numbers[gone]) for key, numbers in self._lost.items())


def _last(steps: Sequence[Step]) -> dict[int, int]:
    """Return how many channels each set keeps after steps, by its number."""
    return {i: kept for _, i, kept in steps}


def _steps(one: ChannelSet, multiple: int) -> list[tuple[float, int]]:
    """Return the widths below which a set has fewer channels, and how many then: the multiple nearest to its share."""
    count, step = len(one.importance), math.lcm(multiple, one.parts)
    return [((kept + step / 2) / count, kept) for kept in range(step, count, step)]
