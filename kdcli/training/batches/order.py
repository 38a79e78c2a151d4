"""The order in which a stage shows its images: which of them are in each batch."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Protocol

import torch
from torch import Tensor

from kdcli.protocols import Source
from kdcli.training.seeds import seed_of

ENDLESS = 2**31 - 1
"""Length from which a source counts as endless: no epoch, no permutation, no cache."""


class Order(Protocol):
    """The images of each batch by number. One that learns from what was shown asks to see it."""

    asks: bool
    """Whether ``see`` wants to know how far each image's depth is from what it should be."""
    most_workers: int | None
    """Processes that may read images ahead, where batches too far ahead are not known yet; None = any number."""

    def indices(self, step: int) -> list[int]:
        """Return the image indices of a batch."""

    def see(self, step: int, distance: Tensor | None) -> None:
        """Take how far the images of a batch are, B; batch after batch."""

    def notes(self) -> Mapping[str, float]:
        """Return what is logged beside a step."""

    def state(self) -> dict[str, Any] | None:
        """Return what a checkpoint needs to go on; None where the order is a function of seed and number."""

    def load(self, state: Mapping[str, Any] | None) -> None:
        """Go on from what a checkpoint holds of it."""


class FixedOrder:
    """What orders have in common that nothing changes on the way."""

    asks = False
    most_workers: int | None = None

    def see(self, step: int, distance: Tensor | None) -> None:
        """Leave it."""

    def notes(self) -> Mapping[str, float]:
        """Return nothing."""
        return {}

    def state(self) -> dict[str, Any] | None:
        """Return nothing."""
        return None

    def load(self, state: Mapping[str, Any] | None) -> None:
        """Leave it."""


class EvenOrder(FixedOrder):
    """Each image once an epoch, in an order that seed and epoch decide; what fills no whole batch is left out."""

    def __init__(self, count: int, batch_size: int, seed: int) -> None:
        self._count, self._size, self._seed = count, batch_size, seed
        self._per_epoch = max(count // batch_size, 1)
        self._known: tuple[int, list[int]] = (-1, [])

    def indices(self, step: int) -> list[int]:
        """Return the image indices of a batch; of an endless source always further ones."""
        count, size = self._count, self._size
        if count >= ENDLESS:
            return list(range(step * size, (step + 1) * size))
        first = (step % self._per_epoch) * size
        order = self._permutation(step // self._per_epoch)
        return [order[(first + i) % count] for i in range(size)]

    def _permutation(self, epoch: int) -> list[int]:
        if self._known[0] != epoch:
            generator = torch.Generator().manual_seed(seed_of(self._seed, "order", epoch))
            self._known = (epoch, torch.randperm(self._count, generator=generator).tolist())
        return self._known[1]


class MixedOrder(FixedOrder):
    """Of a source of two parts: each batch has the second one's share, each part's images come in rounds of its own."""

    def __init__(self, source: Any, batch_size: int, seed: int) -> None:
        """source: a counted one with ``share`` and ``part_of``."""
        parts: tuple[list[int], list[int]] = ([], [])
        for index in range(len(source)):
            parts[source.part_of(index)].append(index)
        self._parts, self._size, self._seed = parts, batch_size, seed
        # A part that is empty, as a held-out stretch may leave it, has no share.
        share = Fraction(source.share).limit_denominator(10_000) if all(parts) else Fraction(bool(parts[1]))
        self._second, self._of = share.numerator, share.denominator
        self._known: list[tuple[int, list[int]]] = [(-1, []), (-1, [])]

    def indices(self, step: int) -> list[int]:
        """Return the image indices of a batch."""
        return [self._at(place) for place in range(step * self._size, (step + 1) * self._size)]

    def _at(self, place: int) -> int:
        """Return the image at a place in the row of all batches."""
        before = place * self._second // self._of
        part = (place + 1) * self._second // self._of - before
        lap, within = divmod(before if part else place - before, len(self._parts[part]))
        if self._known[part][0] != lap:
            generator = torch.Generator().manual_seed(seed_of(self._seed, "order", lap, part))
            mixed = torch.randperm(len(self._parts[part]), generator=generator).tolist()
            self._known[part] = (lap, [self._parts[part][i] for i in mixed])
        return self._known[part][1][within]


def order_of(source: Source, batch_size: int, seed: int) -> Order:
    """Return the order of a source's images by the seed: each once a round, and of two parts each in its share."""
    mixes = hasattr(source, "share") and len(source) < ENDLESS  # an endless listing has the share itself
    return MixedOrder(source, batch_size, seed) if mixes else EvenOrder(len(source), batch_size, seed)


class RecordedOrder(FixedOrder):
    """Batches that another stage had: a twin sees the images of its run."""

    def __init__(self, order: Tensor, batch_size: int) -> None:
        """order: all image indices, batch after batch."""
        self._order, self._size = order, batch_size

    def indices(self, step: int) -> list[int]:
        """Return the image indices of a batch."""
        chosen: list[int] = self._order[step * self._size : (step + 1) * self._size].tolist()
        return chosen
