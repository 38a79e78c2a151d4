"""Bootstrap intervals over images.

Images, not pixels, are the independent draws, so images are resampled. Resamples are drawn as counts, which turns
every mean over a resample into one matrix product.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from kdcli.evals.metrics import NAMES
from kdcli.evals.protocol import Aggregation

RESAMPLES = 2000
_CHUNK = 100_000
"""Draws that are held together: resampling many images takes no more memory than resampling few."""
_RMSE = NAMES.index("rmse")


def aggregate(values_NM: Tensor, pixels_N: Tensor, counts_RN: Tensor, aggregation: Aggregation) -> Tensor:
    """Return the metrics of each weighted set of images, R x M.

    values: per-image metrics in the order of ``NAMES``. pixels: counted pixels of each. counts: how often each image
    is in each set.
    """
    means = counts_RN @ values_NM / counts_RN.sum(1, keepdim=True)
    if aggregation == "image":
        return means
    weights = counts_RN * pixels_N if aggregation == "pixel" else counts_RN
    mse = weights @ values_NM[:, _RMSE].square() / weights.sum(1)
    means[:, _RMSE] = mse.sqrt()
    return means


def point(values_NM: Tensor, pixels_N: Tensor, aggregation: Aggregation) -> Tensor:
    """Return the metrics over all images, M values; NaN when there are none."""
    counts = torch.ones(1, len(values_NM), dtype=torch.float64)
    return aggregate(values_NM, pixels_N.double(), counts, aggregation)[0]


def resamples(values_NM: Tensor, pixels_N: Tensor, aggregation: Aggregation, *, seed: int, number: int) -> Tensor:
    """Return the metrics of bootstrap resamples, number x M.

    The draws depend on the seed and the number of images alone, so two models measured on the same images are
    resampled alike: differences of rows are paired.
    """
    pixels = pixels_N.double()
    made = values_NM.new_empty(number, values_NM.shape[1])
    for rows, counts in _counts(len(values_NM), number, seed):
        made[rows] = aggregate(values_NM, pixels, counts, aggregation)
    return made


def interval(
    values_NM: Tensor, pixels_N: Tensor, aggregation: Aggregation = "image", *, seed: int = 0, number: int = RESAMPLES
) -> Tensor:
    """Return the 95 % percentile interval of each metric, 2 x M; NaN when there are fewer than two images."""
    if len(values_NM) < 2:
        return torch.full((2, values_NM.shape[1]), torch.nan, dtype=torch.float64)
    return _bounds(resamples(values_NM, pixels_N, aggregation, seed=seed, number=number))


def over_known(
    values_NM: Tensor, weights_NM: Tensor | None = None, *, seed: int = 0, number: int = RESAMPLES
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the mean of each column over the images that have a number, and the ends of its 95 % interval, M each.

    weights: of each number in the mean; None = all alike. NaN where no image has one; ends are NaN where fewer than
    two have.
    """
    has = torch.isfinite(values_NM)
    known = has.double() if weights_NM is None else torch.where(has, weights_NM.double(), 0.0)
    filled = torch.where(has, values_NM, 0.0) * known
    means = filled.sum(0) / known.sum(0)
    if len(values_NM) < 2:
        nothing = torch.full_like(means, torch.nan)
        return means, nothing, nothing
    drawn = values_NM.new_empty(number, values_NM.shape[1])
    for rows, counts in _counts(len(values_NM), number, seed):
        drawn[rows] = (counts @ filled) / (counts @ known)
    low, high = torch.nanquantile(drawn, drawn.new_tensor([0.025, 0.975]), dim=0)
    told = has.sum(0) > 1
    return means, torch.where(told, low, torch.nan), torch.where(told, high, torch.nan)


def paired(
    first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor], aggregation: Aggregation = "image", *,
    seed: int = 0, number: int = RESAMPLES,
) -> tuple[Tensor, Tensor, Tensor]:
    """Compare two models on the same images, given as (values N x M, pixels N) in the same order.

    Returns the difference first - second, M; its 95 % interval, 2 x M; the share of resamples above zero, M, where a
    tie counts half. Interval and share are NaN when there are fewer than two images.
    """
    difference = point(*first, aggregation) - point(*second, aggregation)
    if len(first[0]) < 2:
        return difference, torch.full((2, len(difference)), torch.nan), torch.full_like(difference, torch.nan)
    drawn = [resamples(*model, aggregation, seed=seed, number=number) for model in (first, second)]
    gaps = drawn[0] - drawn[1]
    share = (gaps > 0).double().mean(0) + (gaps == 0).double().mean(0) / 2
    return difference, _bounds(gaps), share


def _bounds(drawn_RM: Tensor) -> Tensor:
    return torch.quantile(drawn_RM, drawn_RM.new_tensor([0.025, 0.975]), dim=0)


def _counts(images: int, number: int, seed: int) -> Iterator[tuple[slice, Tensor]]:
    """Yield rows of resamples, and how often each image is in each of them.

    All are written to the same memory, which holds until the next is asked for: what is made and given back hundreds of
    times between small results leaves holes, of which a process may come to hold hundreds of megabytes.
    """
    generator = torch.Generator().manual_seed(seed)
    step = min(max(1, _CHUNK // images), number)
    drawn, counts = torch.empty(step, images, dtype=torch.int64), torch.empty(step, images, dtype=torch.float64)
    one = torch.ones((), dtype=torch.float64).expand(step, images)
    for begin in range(0, number, step):
        rows = min(step, number - begin)
        torch.randint(images, (rows, images), generator=generator, out=drawn[:rows])
        yield slice(begin, begin + rows), counts[:rows].zero_().scatter_add_(1, drawn[:rows], one[:rows])
