"""What an evaluation found: metrics with intervals, every image that was left out and why, paired comparisons."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kdcli.errors import DataError
from kdcli.evals import intervals
from kdcli.evals.cost import Cost
from kdcli.evals.distances import Distances
from kdcli.evals.extras.found import Extras
from kdcli.evals.metrics import NAMES
from kdcli.evals.perturb import Perturbed
from kdcli.evals.protocol import Protocol
from kdcli.evals.uncertainty import Uncertainty
from kdcli.files import write_text
from kdcli.networks.shown_size import Asked
from kdcli.types import DepthKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """An image that is in no metric, and why."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Result:
    """One model measured on one source under one protocol."""

    model: str
    depth_kind: DepthKind | None
    """None when no image could be shown to the model."""
    protocol: Protocol
    """With the alignment that was really used."""
    indices: tuple[int, ...]
    """Positions of the evaluated images in the source."""
    ids: tuple[str, ...]
    values: Tensor
    """Per-image metrics in the order of ``kdcli.evals.metrics.NAMES``, N x 9 float64 on the CPU."""
    pixels: Tensor
    """Counted pixels of each image, N."""
    skipped: tuple[Skipped, ...] = ()
    size: tuple[int, int] | None = None
    """Height and width that images were resized to before the model; None = as they are, or at several sizes."""
    sizes: tuple[tuple[int, int], ...] | None = None
    """The sizes, where images were resized to several: a model that keeps their aspect ratio."""
    asked: Asked | None = None
    """The size that was asked for."""
    notes: tuple[str, ...] = ()
    """What there is to say of the size; ``{}`` stands for the model's name."""
    source: str = ""
    seed: int = 0
    against: str | None = None
    """The teacher whose depth took the place of ground truth: fidelity, not accuracy. None: measured depth."""
    cost: Cost = field(default_factory=Cost)
    """Parameters and multiply-adds of the model, where they can be told."""
    uncertainty: Uncertainty | None = None
    """How well the model knows where it is wrong; None where that was not measured, or the model does not tell."""
    distances: Distances | None = None
    """Errors by distance; None where they were not asked for."""
    extras: Extras | None = None
    """Metrics beside the nine, where the protocol asks for some."""
    perturbed: Perturbed | None = None
    """The same on images that were changed to mislead the model; None where that was not measured."""
    metrics: Mapping[str, float] = field(init=False)
    """Metric by name; NaN when no image was evaluated."""
    ci95: Mapping[str, tuple[float, float]] = field(init=False)
    """Bootstrap interval over images by name; NaN when fewer than two images were evaluated."""

    def __post_init__(self) -> None:
        aggregation = self.protocol.aggregation
        means = intervals.point(self.values, self.pixels, aggregation).tolist()
        low, high = intervals.interval(self.values, self.pixels, aggregation, seed=self.seed).tolist()
        object.__setattr__(self, "metrics", dict(zip(NAMES, means, strict=True)))
        object.__setattr__(self, "ci95", dict(zip(NAMES, zip(low, high, strict=True), strict=True)))

    @property
    def n(self) -> int:
        """How many images the metrics are made of."""
        return len(self.ids)

    @property
    def seen_at(self) -> str:
        """At which size the model saw images, in words."""
        sizes = self.sizes or ([] if self.size is None else [self.size])
        return ", ".join(f"{height}x{width}" for height, width in sizes) or "as they are"

    def document(self) -> dict[str, Any]:
        """Return the result for JSON; what does not exist is null, never not-a-number."""
        return {
            "model": self.model,
            "depth_kind": None if self.depth_kind is None else str(self.depth_kind),
            "protocol": self.protocol.document(),
            "align": self.protocol.alignment,
            "spec": self.source,
            **({} if self.against is None else {"against": self.against}),
            "size": None if self.size is None else list(self.size),
            **({} if self.sizes is None else {"sizes": [list(size) for size in self.sizes]}),
            "n": self.n,
            **self.cost.document(),
            "pixels": int(self.pixels.sum()),
            **({"warnings": doubts} if (doubts := warnings([self])) else {}),
            "skipped": [{"id": s.id, "reason": s.reason} for s in self.skipped],
            "metrics": {name: _number(value) for name, value in self.metrics.items()},
            "ci95": {name: [_number(low), _number(high)] for name, (low, high) in self.ci95.items()},
            **({} if self.extras is None else {"extras": self.extras.document()}),
            **({} if self.distances is None else {"by_distance": self.distances.document()}),
            **({} if self.uncertainty is None else {"uncertainty": self.uncertainty.document()}),
            **({} if self.perturbed is None else {"perturbed": self.perturbed.document()}),
        }

    def worst(self, number: int, metric: str = "abs_rel") -> tuple[int, ...]:
        """Return the positions in the source of the images with the worst value, the worst first."""
        column = self.values[:, NAMES.index(metric)]
        order = column.argsort(descending=not metric.startswith("delta"), stable=True)[:number]
        return tuple(self.indices[i] for i in order.tolist())


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two models on the images that both were measured on: first minus second."""

    first: str
    second: str
    n: int
    same_protocol: bool
    """False when they were aligned or read out differently: read the difference with care."""
    difference: Mapping[str, float]
    ci95: Mapping[str, tuple[float, float]]
    share_above_zero: Mapping[str, float]
    """Share of bootstrap resamples in which the difference is above zero."""

    def document(self) -> dict[str, Any]:
        """Return the comparison for JSON, seen from the first model."""
        return {
            "against": self.second,
            "n": self.n,
            "same_protocol": self.same_protocol,
            "difference": {name: _number(value) for name, value in self.difference.items()},
            "ci95": {name: [_number(low), _number(high)] for name, (low, high) in self.ci95.items()},
            "share_above_zero": {name: _number(value) for name, value in self.share_above_zero.items()},
        }


def compare(first: Result, second: Result, *, seed: int | None = None) -> Comparison:
    """Compare two results by a paired bootstrap over the images that both have.

    Both must come from the same source: images are matched by their position in it.
    """
    place = {index: row for row, index in enumerate(second.indices)}
    common = [(row, place[index]) for row, index in enumerate(first.indices) if index in place]
    rows = torch.tensor(common, dtype=torch.int64).reshape(-1, 2)
    pairs = [(r.values[rows[:, i]], r.pixels[rows[:, i]]) for i, r in enumerate((first, second))]
    difference, bounds, share = intervals.paired(
        pairs[0], pairs[1], first.protocol.aggregation, seed=first.seed if seed is None else seed
    )
    low, high = bounds.tolist()
    return Comparison(
        first=first.model,
        second=second.model,
        n=len(common),
        same_protocol=first.protocol.hash == second.protocol.hash,
        difference=dict(zip(NAMES, difference.tolist(), strict=True)),
        ci95=dict(zip(NAMES, zip(low, high, strict=True), strict=True)),
        share_above_zero=dict(zip(NAMES, share.tolist(), strict=True)),
    )


def documents(results: Sequence[Result]) -> dict[str, Any] | list[dict[str, Any]]:
    """Return one document for one result, else a list where each carries its comparison with every other, by name."""
    if len(results) == 1:
        return results[0].document()
    return [
        {**one.document(), "paired": {two.model: compare(one, two).document() for two in results if two is not one}}
        for one in results
    ]


def remarks(results: Iterable[Result]) -> list[str]:
    """Return what a reader of the numbers has to know, once for all models that it holds of."""
    holds: dict[str, dict[str, None]] = {}
    for result in results:
        for note in result.notes:
            holds.setdefault(note, {})[f"'{result.model}'"] = None
    return [note.format(", ".join(models)) for note, models in holds.items()]


def warnings(results: Iterable[Result]) -> list[str]:
    """Return those remarks that cast doubt on the numbers."""
    begin = "warning: "
    return [note.removeprefix(begin) for note in remarks(results) if note.startswith(begin)]


def require_measured(results: Iterable[Result]) -> None:
    """Refuse results without numbers: a model of which no image could be measured.

    Raises:
        DataError: there is one; the message names it and the first reason.
    """
    empty = [result for result in results if not result.n]
    if not empty:
        return
    first = empty[0]
    why = f"; '{first.skipped[0].id}': {first.skipped[0].reason}" if first.skipped else ""
    more = f" (nor of {len(empty) - 1} more models)" if len(empty) > 1 else ""
    raise DataError(f"none of the {len(first.skipped)} images could be measured of model '{first.model}'{more}{why}")


FIDELITY = "fidelity_"
"""Begins the names of metrics in a table of fidelity."""


def write_csv(path: Path, results: Sequence[Result] | Mapping[str, Result]) -> None:
    """Write one row for each set, model and image; skipped ones have a reason instead of numbers.

    Results against a teacher have a first column that names it, and metrics that begin with ``fidelity_``.
    """
    if isinstance(results, Mapping):
        results = list(results.values())
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    faithful = any(result.against is not None for result in results)
    # Sets have protocols of their own, which may ask for different extra metrics.
    more = tuple(dict.fromkeys(name for one in results if one.extras is not None for name in one.extras.names))
    columns = ["model", "data", "protocol", "hash", "image", "pixels", *NAMES, *more, "skipped"]
    writer.writerow(
        ["against", *(f"{FIDELITY}{name}" if name in NAMES else name for name in columns)] if faithful else columns
    )
    for result in results:
        head = [result.model, result.source, result.protocol.name, result.protocol.hash]
        head = [result.against or "", *head] if faithful else head
        own = () if result.extras is None else result.extras.names
        beside = [[]] * result.n if result.extras is None else result.extras.values.tolist()
        for name, pixels, values, others in zip(
            result.ids, result.pixels.tolist(), result.values.tolist(), beside, strict=True
        ):
            known = dict(zip(own, map(repr, others), strict=True))
            writer.writerow([*head, name, pixels, *map(repr, values), *(known.get(one, "") for one in more), ""])
        for skipped in result.skipped:
            writer.writerow([*head, skipped.id, "", *("" for _ in (*NAMES, *more)), skipped.reason])
    write_text(path, text.getvalue())


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
