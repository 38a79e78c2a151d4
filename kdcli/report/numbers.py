"""The table that a page begins with: one row a model, few columns; all that there is folds out below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from kdcli.evals.results import Result, warnings
from kdcli.evals.speed import Speed, speeds_of
from kdcli.report.common import on_common
from kdcli.report.html import Block, Details, Table, Text
from kdcli.report.tables import Rows, arrow, metric_rows, overview_rows

_READING = (
    "Values are means over images with a 95 % bootstrap interval over images in brackets. silog is 100 times the root "
    "of the variance of the logarithmic error."
)


def number_blocks(results: Sequence[Result], models: Mapping[str, nn.Module]) -> list[Block]:
    """Return one row a model, what casts doubt on it, and all metrics folded below.

    models: by name, timed here; those without are not.
    """
    timed = {result.model: models[result.model] for result in results if result.model in models}
    speeds = speeds_of(timed, {result.model: result for result in results})
    columns, rows = overview_rows(on_common(results), speeds)
    return [
        Table(columns=columns, rows=rows, caption=_caption(results, speeds)),
        *doubts(results),
        Details(summary="All metrics", blocks=[told_table(metric_rows(results)), Text(text=_READING)]),
    ]


def doubts(results: Sequence[Result]) -> list[Block]:
    """Return a paragraph for each remark that casts doubt on the numbers."""
    return [Text(text=f"Warning: {note}{'' if note.endswith('?') else '.'}") for note in warnings(results)]


def told_table(rows: Rows) -> Table:
    """Return rows as a table of a page, where an arrow says which way is better."""
    columns, body = rows
    if "better" in columns:
        at = columns.index("better")
        body = [[*row[:at], arrow(row[at]), *row[at + 1 :]] for row in body]
    return Table(columns=columns, rows=body)


def licence_of(model: nn.Module) -> str | None:
    """Return under what licence a model says that it stands: a student by its card, a teacher by its provenance."""
    card, origin = getattr(model, "card", None), getattr(model, "provenance", None)
    told = card.get("licence") if isinstance(card, Mapping) else getattr(origin, "licence", None)
    return str(told) if told else None


def _caption(results: Sequence[Result], speeds: Mapping[str, Speed]) -> str:
    counts = sorted({result.n for result in results})
    images = "1 image" if counts == [1] else f"{' or '.join(map(str, counts))} images [95 % interval]"
    said = f"Means over {images}; \u2193 less is better, \u2191 more is."
    sizes = sorted({result.cost.size for result in results if result.cost.size is not None})
    if not sizes:
        return said
    said += f" Multiply-adds of one image of {' or '.join(f'{height}x{width}' for height, width in sizes)}"
    if all(speed.seconds is None for speed in speeds.values()):
        return f"{said}."
    threads = torch.get_num_threads()
    where = "GPU" if torch.cuda.is_available() else f"CPU, {threads} thread{'s' if threads > 1 else ''}"
    busy = ", while other work took the processor" if any(speed.disturbed for speed in speeds.values()) else ""
    return f"{said}; latency ({where}): the fastest of a few passes{busy}; kdcli bench measures with care."
