"""Several sets in one table, as the field compares networks: a row a model, AbsRel and delta1 of each set."""

from __future__ import annotations

import math
from collections.abc import Sequence

from kdcli.evals.results import Result
from kdcli.report.common import differing, on_common
from kdcli.report.tables import Rows

COLUMNS = (("abs_rel", "AbsRel"), ("delta1", "d1"))
"""Metrics of each set, and what they are called in such tables."""

NOTE = "AbsRel: less is better; d1 (delta1): more is; means over images, * best of a column"


def set_rows(groups: Sequence[tuple[str, Sequence[Result]]]) -> Rows:
    """Return one row a model from the results of each set by its name; three decimals, as the field prints them.

    Numbers are of the images of a set that all models have: others would rank models by their images.
    """
    groups = [(name, on_common(results)) for name, results in groups]
    models = [result.model for result in groups[0][1]]
    several = len(models) > 1
    columns = ["model", *(f"{name} {label}" for name, _ in groups for _, label in COLUMNS)]
    rows = [[model] for model in models]
    places: list[list[float]] = [[] for _ in models]
    for _, results in groups:
        for metric, _ in COLUMNS:
            values = [result.metrics[metric] for result in results]
            ranks = _ranks(values, more=metric.startswith("delta"))
            for row, own, value, rank in zip(rows, places, values, ranks, strict=True):
                if rank is None:
                    row.append("-")
                    continue
                best = several and rank == min(one for one in ranks if one is not None)
                row.append(f"{value:.3f}{'*' if best else ''}")
                own.append(rank)
    if several:
        columns.append("mean rank")
        for row, own in zip(rows, places, strict=True):
            row.append(f"{sum(own) / len(own):.1f}" if own else "-")
    return columns, rows


def rank_note(groups: Sequence[tuple[str, Sequence[Result]]]) -> str:
    """Return what has to be known to read the table."""
    said = NOTE + ("; mean rank: over all columns" if len(groups[0][1]) > 1 else "")
    return "; ".join([said, *(f"{name}: {one.removesuffix('.')}" for name, results in groups
                              for one in differing(results))])


def _ranks(values: Sequence[float], *, more: bool) -> list[float | None]:
    """Return the place of each value among those that there are; equal ones share the mean of their places."""
    known = [value for value in values if math.isfinite(value)]
    found: list[float | None] = []
    for value in values:
        if not math.isfinite(value):
            found.append(None)
            continue
        before = sum((one > value) if more else (one < value) for one in known)
        found.append(before + (known.count(value) + 1) / 2)
    return found
