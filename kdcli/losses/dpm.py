"""Depth probability maps (TIE-KD, arXiv 2402.14340, equation 2): a teacher's depth as a distribution over depth bins.

Two readings. ``released`` is what the authors' code does (``losses/l_dpm_loss.py``): a softmax of the Gaussian
*density values* at the bin centres, with densities below 1e-16 left out. That is a plateau as wide as the density's
reach, and near the ends of the range its mean is far from the depth it stands for: with 257 bins to 80 m and sigma
0.5 m, 1 m reads 2.32 m. ``gaussian`` is the density, normalised: its mean is the depth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from kdcli.errors import ConfigError

Dpm = Literal["released", "gaussian"]

LEAST_DENSITY = 1e-16
"""Density below which a bin is left out of a released map."""
LEFT_OUT = -1000.0
"""What stands for such a density in the softmax."""
DEVIATIONS = 6.5
"""Standard deviations beyond which a Gaussian counts as nothing; what is cut off is below 1e-9 of it."""
_NOTHING = -1e30
"""Score of a bin that a Gaussian does not reach."""
_UNEVEN = 1e-2
"""Largest deviation of a bin's width from the first one's, as a share of it, in evenly spaced bins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Bins even in depth or in its natural logarithm. ``first`` centre and ``step`` are in that coordinate."""

    count: int
    first: float
    step: float
    log: bool

    @classmethod
    def of(cls, centers: Tensor) -> Grid:
        """Tell the spacing of bin centres, K or B x K; reads them on the host, so not for every step.

        Raises:
            ConfigError: centres that differ between images, or are even neither in depth nor in its logarithm.
        """
        rows = centers.detach().double().reshape(-1, centers.shape[-1]).cpu()
        row = rows[0]
        if len(row) < 2 or not torch.allclose(rows, row.expand_as(rows)):
            raise ConfigError("depth probability maps need the same two or more bins for all images; these vary")
        for log in (False, True):
            if log and bool((row <= 0).any()):
                break
            at = row.log() if log else row
            step = (at[-1] - at[0]) / (len(at) - 1)
            if step > 0 and bool(((at.diff() - step).abs() <= _UNEVEN * step).all()):
                return cls(count=len(at), first=float(at[0]), step=float(step), log=log)
        raise ConfigError("depth probability maps need bins that are even in depth or in its logarithm, as tie-kd's")

    def coordinate(self, depth: Tensor) -> Tensor:
        """Return depth (or bin centres) in the coordinate in which bins are even."""
        return depth.log() if self.log else depth

    def reach(self, sigma: float, dpm: Dpm) -> float:
        """Return how far from a depth bins are touched, in the bins' coordinate.

        Raises:
            ConfigError: so large a sigma that no density reaches ``LEAST_DENSITY``.
        """
        if dpm == "gaussian":
            return max(DEVIATIONS * sigma, self.step)
        room = -2 * math.log(LEAST_DENSITY * math.sqrt(2 * math.pi) * sigma)
        if room <= 0:
            raise ConfigError(f"sigma={sigma} is too wide for any bin of a released map; use a smaller one")
        return sigma * math.sqrt(room)

    def window(self, sigma: float, dpm: Dpm) -> int:
        """Return how many neighbouring bins hold all of a map, whatever the depth."""
        return min(self.count, int(2 * self.reach(sigma, dpm) / self.step) + 3)

    def held(self, depth: Tensor, sigma: float, dpm: Dpm) -> Tensor:
        """Return depth in the bins' coordinate, held to where the map is not empty.

        A Gaussian is held to the bins' range. A released map may lie outside it as far as it reaches a bin.
        """
        margin = self.step / 2 if dpm == "gaussian" else self.reach(sigma, dpm) * (1 - 1e-3)
        last = self.first + (self.count - 1) * self.step
        low, high = self.first - margin, last + margin
        # A logarithm of zero or less, where the target is unknown, would poison the gradient's zero weight.
        at = self.coordinate(depth.clamp_min(math.exp(low)) if self.log else depth)
        return at.clamp(low, high)


def weights(distance: Tensor, reach: float, sigma: float, dpm: Dpm, axis: int) -> tuple[Tensor, Tensor]:
    """Return probabilities and their logarithms along ``axis``, for distances to bin centres of at least the window.

    distance, reach, sigma: in the bins' coordinate. A bin out of reach has probability 0; its
    logarithm is finite.
    """
    if dpm == "gaussian":
        score = distance.square() * (-0.5 / sigma**2)
        score = torch.where(distance.abs() > reach, _NOTHING, score)
    else:
        density = torch.exp(distance.square() * (-0.5 / sigma**2)) / math.sqrt(2 * math.pi * sigma**2)
        score = torch.where(density < LEAST_DENSITY, LEFT_OUT, density)
    logs = score.log_softmax(dim=axis)
    return logs.exp(), logs


def target_dpm(
    depth: Tensor, centers: Tensor, *, sigma: float, dpm: Dpm = "gaussian", grid: Grid | None = None
) -> Tensor:
    """Return the whole depth probability map, B x K x h x w, of depth B x 1 x h x w in metres.

    centers: K, in metres. sigma: metres, or a share of the depth where the bins are even in its logarithm.

    Raises:
        ConfigError: bins that are not even, or a sigma that is not above 0.
    """
    check_sigma(sigma)
    grid = Grid.of(centers) if grid is None else grid
    at = grid.coordinate(centers).view(1, -1, 1, 1)
    return weights(at - grid.held(depth, sigma, dpm), grid.reach(sigma, dpm), sigma, dpm, axis=1)[0]


def check_sigma(sigma: float) -> None:
    """Check a standard deviation.

    Raises:
        ConfigError: not a number above 0.
    """
    if not 0 < sigma < math.inf:
        raise ConfigError(f"sigma={sigma} must be a number above 0 (metres; a share of the depth for log bins)")
