"""The per-image table while it grows: plain numbers in a row, some hundred bytes an image however many there are."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kdcli.evals.metrics import NAMES


@dataclass(slots=True)
class Rows:
    """Position, name, metrics and counted pixels of each image."""

    indices: array[int] = field(default_factory=lambda: array("q"))
    ids: list[str] = field(default_factory=list)
    _values: array[float] = field(default_factory=lambda: array("d"))
    _pixels: array[int] = field(default_factory=lambda: array("q"))

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, index: int, name: str, values: NDArray[np.float64], pixels: int) -> None:
        """Write down an image. values: its metrics in the order of ``kdcli.evals.metrics.NAMES``."""
        self.indices.append(index)
        self.ids.append(name)
        self._values.extend(values.tolist())
        self._pixels.append(pixels)

    def sorted(self) -> Rows:
        """Return the rows by position: batches of equal size come in another order."""
        order = np.argsort(np.frombuffer(self.indices, dtype=np.int64), kind="stable") if self.ids else []
        made = Rows()
        for row in order:
            made.add(self.indices[row], self.ids[row], self._row(row), self._pixels[row])
        return made

    @property
    def values(self) -> Tensor:
        """Metrics, N x 9 float64."""
        return torch.tensor(self._values, dtype=torch.float64).reshape(-1, len(NAMES))

    @property
    def pixels(self) -> Tensor:
        """Counted pixels, N int64."""
        return torch.tensor(self._pixels, dtype=torch.int64)

    def _row(self, row: int) -> NDArray[np.float64]:
        wide = len(NAMES)
        return np.array(self._values[row * wide : (row + 1) * wide])
