"""``sampling=hard``: images whose depth is far from the teacher's come more often than near ones.

A round is as many batches as show all images once. How often an image comes in it follows from its distance when it was
shown before (``draws``). Processes that read files need to know batches ahead, so the order of a round is drawn some
batches before it begins, from what was known then: it depends on seed and distances, not on who reads how far ahead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from kdcli.training.batches import draws
from kdcli.training.batches.decoding import PREFETCHED
from kdcli.training.batches.distances import Distances
from kdcli.training.seeds import seed_of

LEAD = 32
"""Batches before a round at which its order is drawn; one round where that has fewer."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """The images of a round, and what is logged of it."""

    images: Tensor
    notes: Mapping[str, float] = field(default_factory=dict)


class HardOrder:
    """The order of one stage's images, drawn round by round."""

    asks = True

    def __init__(self, count: int, batch_size: int, seed: int, *, record: bool = False) -> None:
        """record: keep all rounds, for a twin that is to see the same images."""
        self.batches = math.ceil(count / batch_size)
        """Of a round."""
        self.lead = min(LEAD, self.batches)
        self.most_workers: int | None = self.lead // PREFETCHED
        self.record = record
        self.distances = Distances(count)
        self._size, self._seed = batch_size, seed
        self._left_out = torch.zeros(count, dtype=torch.int64)
        self._rounds: dict[int, Round] = {}
        self._at = 0
        self._draw(0)
        if self.lead == self.batches:
            self._draw(1)

    def indices(self, step: int) -> list[int]:
        """Return the image indices of a batch that is at most ``lead`` beyond the last that was seen."""
        number, place = divmod(step, self.batches)
        chosen: list[int] = self._rounds[number].images[place * self._size : (place + 1) * self._size].tolist()
        return chosen

    def see(self, step: int, distance: Tensor | None) -> None:
        """Take how far a batch's images are, B; the device is waited for when a round is drawn, not here."""
        if distance is not None:
            self.distances.add(self.indices(step), distance)
        self._at = step // self.batches
        coming, place = divmod(step + 1 + self.lead, self.batches)
        if place == 0:
            self._draw(coming)
            if not self.record:
                self._rounds = {number: one for number, one in self._rounds.items() if number >= self._at}

    def notes(self) -> Mapping[str, float]:
        """Return how unequal the round under way is.

        ``sampling.far``: share of its looks that go to the farther half of the images, 0.5 if equal. ``sampling.most``:
        how often one image comes at most.
        """
        return self._rounds[self._at].notes

    def state(self) -> dict[str, Any]:
        """Return distances and rounds for a checkpoint."""
        return {
            "distances": self.distances.state(), "left_out": self._left_out.clone(), "at": self._at,
            "rounds": {
                number: {"images": one.images.clone(), "notes": dict(one.notes)}
                for number, one in self._rounds.items()
            },
        }

    def load(self, state: Mapping[str, Any] | None) -> None:
        """Go on from a checkpoint.

        Raises:
            ValueError: it has no distances, or of other images. KeyError, TypeError, AttributeError: it is no state.
        """
        if state is None:
            raise ValueError("it holds no distances of images")
        self.distances.load(state["distances"])
        self._left_out.copy_(state["left_out"])
        self._at = int(state["at"])
        self._rounds = {
            int(number): Round(images=one["images"], notes=dict(one["notes"]))
            for number, one in state["rounds"].items()
        }

    def recorded(self, steps: int) -> Tensor:
        """Return the images of the first ``steps`` batches, one after the other; only where all rounds are kept."""
        return torch.cat([self._rounds[number].images for number in sorted(self._rounds)])[: steps * self._size]

    def _draw(self, number: int) -> None:
        self.distances.read()
        far = draws.ranks(self.distances.relative)
        generator = torch.Generator().manual_seed(seed_of(self._seed, "hard", number))
        found = draws.counts(
            draws.weights(self.distances.relative), self.batches * self._size, self._left_out, generator
        )
        self._left_out = torch.where(found > 0, 0, self._left_out + 1)
        notes = {"sampling.most": float(found.max())}
        if bool((far > 0.5).any()):
            half = found[far > 0.5].sum() + found[far == 0.5].sum() / 2  # of unknown ones nobody can say
            notes["sampling.far"] = float(half / found.sum())
        self._rounds[number] = Round(images=draws.spread(found, generator).to(torch.int32), notes=notes)
