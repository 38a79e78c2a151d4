"""The per-image table while it grows: plain numbers in a row, some hundred bytes an image however many there are."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from kdcli.evals.metrics import NAMES


@dataclass(slots=True)
class Rows:
    """Position, name, metrics and counted pixels of each image; ``more`` columns of extra metrics stand behind."""

    more: int = 0
    indices: array[int] = field(default_factory=lambda: array("q"))
    ids: list[str] = field(default_factory=list)
    _values: array[float] = field(default_factory=lambda: array("d"))
    _pixels: array[int] = field(default_factory=lambda: array("q"))

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, index: int, name: str, values: Iterable[float], pixels: int) -> None:
        """Write down an image. values: its metrics in the order of ``kdcli.evals.metrics.NAMES``, then the extra ones.
        """
        self.indices.append(index)
        self.ids.append(name)
        self._values.extend(values)
        self._pixels.append(pixels)

    def take(self, other: Rows) -> None:
        """Add another table's rows, of as many columns."""
        self.indices.extend(other.indices)
        self.ids.extend(other.ids)
        self._values.extend(other._values)
        self._pixels.extend(other._pixels)

    def sorted(self) -> Rows:
        """Return the rows by position: batches of equal size come in another order."""
        made = Rows(more=self.more)
        for row in np.argsort(np.array(self.indices, dtype=np.int64), kind="stable").tolist():
            made.add(self.indices[row], self.ids[row], self._row(row), self._pixels[row])
        return made

    @property
    def values(self) -> Tensor:
        """Metrics, N x 9 float64."""
        return self._table[:, : len(NAMES)]

    @property
    def extras(self) -> Tensor:
        """Extra metrics, N x ``more`` float64."""
        return self._table[:, len(NAMES) :]

    @property
    def pixels(self) -> Tensor:
        """Counted pixels, N int64."""
        return torch.tensor(self._pixels, dtype=torch.int64)

    @property
    def _table(self) -> Tensor:
        return torch.tensor(self._values, dtype=torch.float64).reshape(-1, len(NAMES) + self.more)

    def _row(self, row: int) -> Iterable[float]:
        wide = len(NAMES) + self.more
        return self._values[row * wide : (row + 1) * wide]
