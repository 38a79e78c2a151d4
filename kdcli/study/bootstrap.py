"""Intervals over seeds and images together.

Every seed of an arm is measured on the same images, so seeds and images are crossed, not nested: each resample draws
seeds and, apart from that, one set of images that holds for all of them (the pigeonhole bootstrap: Owen, The Annals of
Applied Statistics 1(2), 2007). Drawing images anew for each seed would count every image as often as there are seeds.

Of S seeds, S - 1 are drawn, with replacement: the variance between seeds is then that of the mean without bias (Rao and
Wu, JASA 83, 1988), where drawing S would make it too small by a factor of (S - 1) / S, which for two seeds is a half.
With one seed there is nothing to draw and the interval is over images alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kdcli.evals import intervals
from kdcli.evals.protocol import Aggregation


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measured:
    """One arm at one number of images: what each seed's student got on each image.

    values: S x N x M in the order of ``kdcli.evals.metrics.NAMES``. pixels: S x N counted pixels.
    """

    values: Tensor
    pixels: Tensor

    def per_seed(self, aggregation: Aggregation) -> Tensor:
        """Return the metrics of each seed over all images, S x M."""
        pairs = zip(self.values, self.pixels, strict=True)
        return torch.stack([intervals.point(values, pixels, aggregation) for values, pixels in pairs])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Estimate:
    """A mean over seeds, or a difference of two, with its 95 % percentile interval, for each metric (M,)."""

    value: Tensor
    low: Tensor
    high: Tensor
    """NaN, as ``low``, where there are fewer than two images."""
    above_zero: Tensor
    """Share of resamples above zero, a tie counting half; of use for differences."""


def estimate(
    measured: Measured, aggregation: Aggregation = "image", *, seed: int = 0, number: int = intervals.RESAMPLES
) -> Estimate:
    """Return the mean over seeds with its interval over seeds and images."""
    value = measured.per_seed(aggregation).mean(0)
    return _told(value, _drawn(measured, aggregation, seed, number) if _enough(measured) else None)


def difference(
    first: Measured, second: Measured, aggregation: Aggregation = "image", *, seed: int = 0,
    number: int = intervals.RESAMPLES,
) -> Estimate:  # fmt: skip
    """Return first minus second, paired: both have the same seeds and images in the same order."""
    if first.values.shape != second.values.shape:
        shapes = f"{tuple(first.values.shape)} and {tuple(second.values.shape)}"
        raise ValueError(f"{shapes} cannot be of the same seeds and images")
    value = first.per_seed(aggregation).mean(0) - second.per_seed(aggregation).mean(0)
    if not _enough(first):
        return _told(value, None)
    one, two = (_drawn(side, aggregation, seed, number) for side in (first, second))
    return _told(value, one - two)


def _enough(measured: Measured) -> bool:
    return measured.values.shape[0] > 0 and measured.values.shape[1] > 1


def _drawn(measured: Measured, aggregation: Aggregation, seed: int, number: int) -> Tensor:
    """Return the mean over drawn seeds of the metrics over drawn images, R x M."""
    # The draws of images depend on their number and the seed alone: the same for every seed of the arm, and for the
    # other arm of a pair.
    drawn_SRM = torch.stack(
        [
            intervals.resamples(values, pixels, aggregation, seed=seed, number=number)
            for values, pixels in zip(measured.values, measured.pixels, strict=True)
        ]
    )
    return torch.einsum("rs,srm->rm", _seed_weights(len(drawn_SRM), number, seed), drawn_SRM)


def _seed_weights(seeds: int, number: int, seed: int) -> Tensor:
    """Return what each seed counts in each resample, R x S; rows sum to 1."""
    draws = max(seeds - 1, 1)
    generator = torch.Generator().manual_seed(seed + 1)
    drawn = torch.randint(seeds, (number, draws), generator=generator)
    weights = torch.zeros(number, seeds, dtype=torch.float64)
    return weights.scatter_add_(1, drawn, torch.full((number, draws), 1 / draws, dtype=torch.float64))


def _told(value: Tensor, drawn_RM: Tensor | None) -> Estimate:
    if drawn_RM is None:
        nothing = torch.full_like(value, torch.nan)
        return Estimate(value=value, low=nothing, high=nothing, above_zero=nothing)
    low, high = torch.quantile(drawn_RM, drawn_RM.new_tensor([0.025, 0.975]), dim=0)
    share = (drawn_RM > 0).double().mean(0) + (drawn_RM == 0).double().mean(0) / 2
    return Estimate(value=value, low=low, high=high, above_zero=share)
