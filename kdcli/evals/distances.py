"""Error against distance: how far off predictions are near by and far away, in bins of the true depth.

Errors are shares of the truth, |p - g| / g, as in ``abs_rel``, and with their sign, (p - g) / g: above zero is too far.
All pixels of a bin weigh alike, whichever image they are of.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

EDGES = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 60.0,
         80.0, math.inf)  # fmt: skip
"""Ends of the bins in metres, the same for all sets; an upper end belongs to the next one."""

_FEW = 1e-4
"""Share of all pixels below which a bin says nothing and is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """One bin: ends in metres, pixels, mean error and mean error with its sign, as shares of the truth."""

    low: float
    high: float
    pixels: int
    abs_rel: float
    bias: float

    @property
    def middle(self) -> float:
        """Where it is drawn, metres."""
        return (self.low + self.high) / 2 if math.isfinite(self.high) else self.low


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Distances:
    """Errors of one model by distance. sums: K x 3 float64, pixels, sum of errors, sum of signed errors."""

    sums: Tensor

    @classmethod
    def of(cls, images: Sequence[Tensor]) -> Distances:
        """Return it from the sums of each image, in an order that does not depend on batches."""
        return cls(sums=torch.stack(list(images)).sum(0))

    def bins(self) -> Iterator[Bin]:
        """Yield the bins that hold enough pixels, the nearest first."""
        total = float(self.sums[:, 0].sum())
        for i, (pixels, error, signed) in enumerate(self.sums.tolist()):
            if pixels and pixels >= _FEW * total:
                yield Bin(low=EDGES[i], high=EDGES[i + 1], pixels=int(pixels), abs_rel=error / pixels,
                          bias=signed / pixels)

    def document(self) -> list[dict[str, Any]]:
        """Return the bins for JSON; the last has no upper end."""
        return [
            {"from": one.low, "to": one.high if math.isfinite(one.high) else None, "pixels": one.pixels,
             "abs_rel": round(one.abs_rel, 9), "bias": round(one.bias, 9)}
            for one in self.bins()
        ]


def per_image(depth_B1HW: Tensor, target_B1HW: Tensor, valid_B1HW: Tensor) -> Tensor:
    """Return the sums of each image, B x K x 3 float64 on the CPU."""
    edges = torch.tensor(EDGES[1:-1], dtype=target_B1HW.dtype, device=target_B1HW.device)
    made = []
    for depth, target, valid in zip(depth_B1HW, target_B1HW, valid_B1HW, strict=True):
        truth = target[valid]
        share = ((depth[valid] - truth) / truth).double()
        which = torch.bucketize(truth, edges, right=True)
        size = len(EDGES) - 1
        rows = [torch.bincount(which, minlength=size).double()]
        rows += [torch.bincount(which, one, minlength=size) for one in (share.abs(), share)]
        made.append(torch.stack(rows, 1))
    return torch.stack(made).cpu()
