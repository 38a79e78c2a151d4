"""Metric against number of images, or of what else a study counts, with bands; matplotlib is an optional dependency."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from kdcli.evals.metrics import HIGHER_IS_BETTER
from kdcli.files import atomic
from kdcli.study.grid import IMAGES
from kdcli.study.rows import Row, Table

WITHOUT = "The plots were left out: they need matplotlib, which is not installed (pip install matplotlib)."


def available() -> bool:
    """Whether plots can be drawn."""
    return importlib.util.find_spec("matplotlib") is not None


def plot(table: Table, metric: str, path: Path) -> None:
    """Draw one metric of every arm against its counts as PNG, with the 95 % interval as a band.

    An arm that was run with one of them is a point with a bar; teachers are horizontal lines.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 4.5), layout="constrained")
    axes = figure.subplots()
    for number, (arm, rows) in enumerate(_lines(table).items()):
        x = [float(row.count or 0) for row in rows]
        y, low, high = (
            [_or(getattr(row.metrics[metric], bound), row.metrics[metric].value) for row in rows]
            for bound in ("value", "low", "high")
        )
        label, colour = rows[0].label if rows[0].label == arm else f"{arm}: {rows[0].label}", f"C{number % 10}"
        if len(rows) > 1:
            axes.plot(x, y, "o-", color=colour, label=label)
            axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
        else:
            bars = [[y[0] - low[0]], [high[0] - y[0]]]
            axes.errorbar(x, y, yerr=bars, fmt="s", color=colour, label=label, capsize=3)
    for teacher in table.teachers:
        if (value := teacher.metrics[metric].value) is not None:
            axes.axhline(value, color="0.4", linestyle="--", linewidth=1, label=f"teacher {teacher.spec}")
    counts = sorted({row.count for row in table.rows if row.count is not None})
    axes.set_xscale("log")
    axes.set_xticks(counts, [f"{count:,}" for count in counts])
    axes.minorticks_off()
    better = "more" if metric in HIGHER_IS_BETTER else "less"
    counted = "training images" if table.counted == IMAGES else table.counted
    axes.set(xlabel=counted, ylabel=f"{metric} ({better} is better)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=110, metadata={"Software": None})


def _lines(table: Table) -> dict[str, list[Row]]:
    lines: dict[str, list[Row]] = {}
    for row in sorted((row for row in table.rows if row.count is not None), key=lambda row: row.count or 0):
        lines.setdefault(row.arm, []).append(row)
    return lines


def _or(bound: float | None, value: float | None) -> float:
    chosen = value if bound is None else bound
    return float("nan") if chosen is None else chosen
