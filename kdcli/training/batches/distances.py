"""How far each image's depth was from what it should be, when it was last shown."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

KEPT = 0.5
"""Share of what was known of an image that stays when it is seen again: augmentation moves each look at it."""
MOVED = 0.1
"""Share by which a batch moves the level that distances are compared with."""
SMALLEST = 1e-12
"""What a level of 0 counts as."""


class Distances:
    """A table by image. What a step gives stays on its device until the table is read."""

    def __init__(self, count: int) -> None:
        # Single numbers are written, which arrays of Python do at a tenth of a tensor's cost.
        self._last = array("d", [math.nan]) * count
        self._relative = array("d", [math.nan]) * count
        self._shown = array("q", [0]) * count
        self._level = math.nan
        self._recent: list[tuple[Sequence[int], Tensor]] = []

    @property
    def last(self) -> Tensor:
        """Distances as they came; NaN = not known."""
        return torch.frombuffer(self._last, dtype=torch.float64).clone()

    @property
    def relative(self) -> Tensor:
        """As shares of the level at that time, which falls as the student learns: early looks and late ones compare."""
        return torch.frombuffer(self._relative, dtype=torch.float64).clone()

    @property
    def shown(self) -> Tensor:
        """How often each image was shown."""
        return torch.frombuffer(self._shown, dtype=torch.int64).clone()

    def add(self, indices: Sequence[int], distance_B: Tensor) -> None:
        """Take a batch."""
        self._recent.append((indices, distance_B))

    def read(self) -> None:
        """Bring the table up to date; waits for the device once."""
        if not self._recent:
            return
        values: list[float] = torch.cat([found for _, found in self._recent]).cpu().tolist()
        begin = 0
        for indices, _ in self._recent:
            self._take(indices, values[begin : begin + len(indices)])
            begin += len(indices)
        self._recent.clear()

    def state(self) -> dict[str, Any]:
        """Return the table for a checkpoint."""
        self.read()
        return {"last": self.last, "relative": self.relative, "shown": self.shown, "level": self._level}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take a table from a checkpoint.

        Raises:
            ValueError: it is of another number of images.
        """
        for name, mine in (("last", self._last), ("relative", self._relative), ("shown", self._shown)):
            if len(state[name]) != len(mine):
                raise ValueError(f"distances of {len(state[name])} images, not of {len(mine)}")
            mine[:] = array(mine.typecode, state[name].tolist())
        self._level = float(state["level"])

    def _take(self, indices: Sequence[int], values: Sequence[float]) -> None:
        known = [value for value in values if math.isfinite(value)]
        if known:
            mean = sum(known) / len(known)
            self._level = mean if math.isnan(self._level) else self._level + MOVED * (mean - self._level)
        for index, value in zip(indices, values, strict=True):
            self._shown[index] += 1
            if math.isfinite(value):
                share, before = value / max(self._level, SMALLEST), self._relative[index]
                self._last[index] = value
                self._relative[index] = share if math.isnan(before) else KEPT * before + (1 - KEPT) * share
