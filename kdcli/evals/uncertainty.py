"""Measure how well a model's own uncertainty fits its errors: sparsification and coverage of its intervals.

Per image, on the device, over the pixels that count and that the model was shown (a protocol that pastes fills the rest
with no model's opinion); then means over images with bootstrap intervals over images, as all metrics.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from kdcli.evals import intervals
from kdcli.evals.sparsification import REMOVED, Order, area, order, relative, remaining
from kdcli.uncertainty import Spread

SHARES = (0.5, 0.9)
"""Central intervals whose coverage is measured."""

ERRORS = ("abs_rel", "rmse")
BY = ("std", "entropy")
"""What pixels are removed by."""

NAMES = (
    *(f"{what}_{error}_{by}" for by in BY for error in ERRORS for what in ("ause", "aurg")),
    *(f"{what}_{share * 100:.0f}" for share in SHARES for what in ("coverage", "width")),
    "mean_std", "mean_entropy",
)  # fmt: skip
"""Order of the columns. ``coverage_90``: share of the pixels whose truth lies in the model's central 90 % interval,
which should be 0.9; ``width_90``: its mean width, metres. ``mean_std``: metres, ``mean_entropy``: share of ln K."""

CURVES = tuple(f"{error}_{by}" for error in ERRORS for by in (*BY, "oracle"))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Uncertainty:
    """How well one model knows where it is wrong.

    values: per-image numbers in the order of ``NAMES``, N x M float64; NaN where the model does not tell. curves:
    per-image error that is left, as a share of that of all pixels, N x C x F in the order of ``CURVES`` and
    ``REMOVED``. Images are those of the result.
    """

    values: Tensor
    curves: Tensor
    seed: int = 0
    metrics: Mapping[str, float] = field(init=False)
    ci95: Mapping[str, tuple[float, float]] = field(init=False)

    def __post_init__(self) -> None:
        pixels = torch.ones(len(self.values))
        means = intervals.point(self.values, pixels, "image").tolist()
        low, high = intervals.interval(self.values, pixels, "image", seed=self.seed).tolist()
        object.__setattr__(self, "metrics", dict(zip(NAMES, means, strict=True)))
        object.__setattr__(self, "ci95", dict(zip(NAMES, zip(low, high, strict=True), strict=True)))

    @classmethod
    def of(cls, images: Sequence[tuple[Tensor, Tensor]], seed: int) -> Uncertainty:
        """Return it from the numbers and curves of each image, as ``per_image`` gives them."""
        values, curves = zip(*images, strict=True)
        return cls(values=torch.stack(values), curves=torch.stack(curves), seed=seed)

    def curve(self, error: str, by: str) -> list[float]:
        """Return the mean over images of one curve; not-a-numbers where the model does not tell."""
        mean: list[float] = self.curves[:, CURVES.index(f"{error}_{by}")].mean(0).tolist()
        return mean

    def document(self) -> dict[str, Any]:
        """Return all for JSON; what does not exist is null."""
        return {
            "metrics": {name: _number(value) for name, value in self.metrics.items()},
            "ci95": {name: [_number(low), _number(high)] for name, (low, high) in self.ci95.items()},
            "sparsification": {
                "removed": list(REMOVED),
                **{e: {by: [_number(v) for v in self.curve(e, by)] for by in (*BY, "oracle")} for e in ERRORS},
            },
        }


def per_image(depth_B1HW: Tensor, target_B1HW: Tensor, valid_B1HW: Tensor, spread: Spread) -> tuple[Tensor, Tensor]:
    """Return the numbers of each image, B x M float64, and its curves, B x C x F float64.

    depth, target: aligned depth and ground truth in metres. spread: in metres too, its ``ends`` those of ``SHARES``.
    """
    valid = valid_B1HW.flatten(1)
    target = torch.where(valid, target_B1HW.flatten(1), 1.0)
    gap = torch.where(valid, depth_B1HW.flatten(1), 1.0) - target
    # RMSE is the root of a mean of squares, so squares are what is averaged.
    errors = {"abs_rel": gap.abs() / target, "rmse": gap.square()}
    maps = {"std": spread.std, "entropy": spread.entropy}
    orders = {by: order(one.flatten(1), valid) for by, one in maps.items() if one is not None}
    count = len(depth_B1HW)
    missing = torch.full((count,), torch.nan, dtype=torch.float64, device=gap.device)
    curves = {f"{error}_{by}": missing[:, None].expand(-1, len(REMOVED)) for error in ERRORS for by in BY}
    numbers = dict.fromkeys(NAMES, missing)
    for name, error in errors.items():
        oracle = curves[f"{name}_oracle"] = _curve(name, error, order(error, valid))
        for by, ranked in orders.items():
            curve = curves[f"{name}_{by}"] = _curve(name, error, ranked)
            numbers[f"ause_{name}_{by}"] = area(curve - oracle)
            numbers[f"aurg_{name}_{by}"] = area(1 - curve)
    pixels = valid.sum(1)

    def mean(one_BN: Tensor) -> Tensor:
        return torch.where(valid, one_BN, 0).sum(1, dtype=torch.float64) / pixels

    for i, share in enumerate(SHARES if spread.ends is not None else ()):
        assert spread.ends is not None
        low, high = (spread.ends[:, 2 * i + end].flatten(1) for end in (0, 1))
        numbers[f"coverage_{share * 100:.0f}"] = mean(((low <= target) & (target <= high)).float())
        numbers[f"width_{share * 100:.0f}"] = mean(high - low)
    for by, one in maps.items():
        if one is not None:
            numbers[f"mean_{by}"] = mean(one.flatten(1))
    return torch.stack(list(numbers.values()), 1), torch.stack([curves[name] for name in CURVES], 1)


def _curve(error: str, values_BN: Tensor, by: Order) -> Tensor:
    left = remaining(values_BN, by)
    return relative(left.sqrt() if error == "rmse" else left)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
