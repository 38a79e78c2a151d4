"""What an evaluation found, as drawings: differences, cost, error by distance, error over images."""

from __future__ import annotations

from collections.abc import Sequence

from kdcli.evals.baseline import NAME as CONSTANT
from kdcli.evals.metrics import NAMES
from kdcli.evals.results import Result, compare
from kdcli.report.common import on_common
from kdcli.report.drawings import Interval, Point, scatter
from kdcli.report.html import Block, Curves, Drawing
from kdcli.report.standing import standing_plot

_SHOWN = ("abs_rel", "delta1")
"""Metrics whose differences are drawn."""
_POINTS = 200
"""Points of a curve over images at most."""


def forest_plots(results: Sequence[Result]) -> list[Block]:
    """Return the differences of every later model to the first with their intervals, one drawing a metric."""
    first, blocks = results[0], list[Block]()
    found = [compare(other, first) for other in results[1:]]
    for metric in _SHOWN:
        lines = [
            Interval(name=one.first, value=one.difference[metric], low=one.ci95[metric][0], high=one.ci95[metric][1])
            for one in found
        ]
        blocks += standing_plot(metric, first.model, lines)
    return blocks


def cost_plots(results: Sequence[Result]) -> list[Block]:
    """Return error over parameters and over multiply-adds where two models or more tell them."""
    blocks, results = list[Block](), on_common(results)
    for what, of in (
        ("parameters", {r.model: r.cost.parameters for r in results}),
        ("multiply-adds an image", {r.model: r.cost.multiply_adds for r in results}),
    ):
        points = [
            Point(name=result.model, cost=float(cost), error=result.metrics["abs_rel"])
            for result in results if result.n and (cost := of[result.model])
        ]  # fmt: skip
        if len(points) > 1:
            blocks.append(Drawing(svg=scatter(points, what, "abs_rel"),
                                  caption=f"Error over {what}: further down and further left is better."))
    return blocks


def distance_plots(results: Sequence[Result]) -> list[Block]:
    """Return error and signed error over true depth; nothing where they were not added up.

    One number for a whole image is many times off nearby, which would leave no room for the networks beside it.
    """
    results = [one for one in results if one.model != CONSTANT] or results
    told = {result.model: list(result.distances.bins()) for result in results if result.distances is not None}
    if not any(told.values()):
        return []
    unit = "metres" if results[0].against is None else f"units of {results[0].against}"
    return [
        Curves(
            series={model: [(one.middle, one.abs_rel) for one in bins] for model, bins in told.items()},
            x_label=f"true depth, {unit}", y_label="abs_rel",
            caption="Mean |p - g| / g of the pixels of each bin of depth, all images together.",
        ),
        Curves(
            series={model: [(one.middle, one.bias) for one in bins] for model, bins in told.items()},
            x_label=f"true depth, {unit}", y_label="(p - g) / g",
            caption="The same with its sign: above zero depth is too far, below zero too near.",
        ),
    ]


def image_plots(results: Sequence[Result]) -> list[Block]:
    """Return the error of each model's images in order: what an image typically has, and how bad the worst are."""
    column = NAMES.index("abs_rel")
    series = {}
    for result in sorted(results, key=lambda one: one.model == CONSTANT):  # networks keep their colours in all plots
        values = sorted(result.values[:, column].tolist())
        if len(values) > 1:
            last = len(values) - 1
            at = sorted({round(i * last / min(last, _POINTS)) for i in range(min(last, _POINTS) + 1)})
            series[result.model] = [(100 * i / last, values[i]) for i in at]
    if not series:
        return []
    return [Curves(
        series=series, x_label="share of images, %, the best first", y_label="abs_rel",
        caption="Error of each model's images, sorted: half of them lie left of 50 %.",
    )]
