"""One table out of a study's result files: means over seeds, paired differences, what is missing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kdcli.evals.metrics import NAMES
from kdcli.evals.protocol import Aggregation
from kdcli.study import bootstrap
from kdcli.study.cells import jobs
from kdcli.study.grid import Study, group_title
from kdcli.study.results import Group, groups
from kdcli.study.rows import Comparison, Difference, Interval, Row, Table
from kdcli.study.teachers import teacher_rows


def tabulate(study: Study, out: Path, *, seed: int = 0) -> Table:
    """Read the finished runs of a study below ``out`` and compare them; ``seed`` draws the resamples.

    Raises:
        DataError: result files that are missing or broken.
    """
    known = jobs(study, out)
    order = {(arm.name, n): i for i, (arm, n) in enumerate((a, n) for n in study.counts or (None,) for a in study.arms)}
    found = {(g.arm, g.count): g for g in sorted(groups(known, out), key=lambda g: order[g.arm, g.count])}
    rows = []
    for (_, count), group in found.items():
        base = found.get((study.reference, count))
        against = None if base is None or base is group else _compare(group, base, study.metrics, seed)
        rows.append(_row(group, study, against, seed))
    contrasts = [
        _compare(found[first], found[second], study.metrics, seed)
        for first, second in study.contrasts
        if first in found and second in found
    ]
    return Table(
        study=study.name,
        about=study.about,
        eval_data=study.eval_data,
        protocol=next(iter(found.values())).protocol if found else None,
        reference=study.reference,
        metrics=study.metrics,
        teachers=teacher_rows(study, out),
        rows=tuple(rows),
        contrasts=tuple(contrasts),
        counted=study.counted,
        missing=tuple(cell.title for job in known if job.state != "finished" for cell in job.cells),
    )


def _row(group: Group, study: Study, against: Comparison | None, seed: int) -> Row:
    seeds, images = group.seeds, sorted(group.images)
    measured = group.measured(seeds, images)
    told = bootstrap.estimate(measured, group.aggregation, seed=seed)
    each = measured.per_seed(group.aggregation)
    return Row(
        arm=group.arm,
        label=study.arm(group.arm).label,
        count=group.count,
        seeds=seeds,
        images=len(images),
        metrics={name: Interval(**_bounds(told, name)) for name in study.metrics},
        per_seed={name: tuple(map(_number, each[:, NAMES.index(name)].tolist())) for name in study.metrics},
        runs=tuple(group.runs_of[s] for s in seeds),
        teacher_images=round(sum(group.shown.values()) / len(group.shown)) if group.shown else None,
        against=against,
    )


def _compare(first: Group, second: Group, metrics: Sequence[str], seed: int) -> Comparison:
    seeds = tuple(s for s in first.seeds if s in second.runs)
    images = sorted(first.images & second.images)
    found: dict[str, Difference] = {}
    if seeds and images:
        aggregation: Aggregation = first.aggregation
        sides = (first.measured(seeds, images), second.measured(seeds, images))
        told = bootstrap.difference(*sides, aggregation, seed=seed)
        for name in metrics:
            share = _number(float(told.above_zero[NAMES.index(name)]))
            found[name] = Difference(**_bounds(told, name), above_zero=share)
    return Comparison(
        first=group_title(first.arm, first.count),
        second=group_title(second.arm, second.count),
        seeds=seeds,
        images=len(images),
        same_protocol=first.protocol["hash"] == second.protocol["hash"],
        difference=found,
    )


def _bounds(told: bootstrap.Estimate, name: str) -> dict[str, Any]:
    column = NAMES.index(name)
    low, high = (_number(float(bound[column])) for bound in (told.low, told.high))
    return {"value": _number(float(told.value[column])), "low": low, "high": high}


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
