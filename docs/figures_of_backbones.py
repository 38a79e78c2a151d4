"""Accuracy of light backbones over the time that they take: two studies and a benchmark as one table and one plot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from figures_of_studies import COLOURS, METRIC, Rows, arms, drawing, gain, kept, number, studies, tail

REFERENCE = "mobilenet"
PLACES = {"backbones-mini": "simulator", "backbones-kitchen": "photographs"}
"""Result files of the two studies, and what they are called."""
TIMES = "backbones"
_SEATS = ((6, 4), (6, -13), (-6, 4), (-6, -13), (6, 14), (6, -23))
"""Right and up of a point, in pixels: where its name may stand."""
_LETTER = 5.2
"""Pixels of a letter."""
BUDGETS = (0.55, 0.75, 1.0)
"""Of the time of ``mobilenet``."""


def table(results: Path) -> str:
    """Return a Markdown table of every backbone: its time, its accuracy in both places, and whether it is on the front;
    and which one is recommended within each budget."""
    places, times = studies(results, PLACES), _times(results)
    heads = ["student", f"time / `{REFERENCE}`'s"]
    for place in places:
        heads += [f"{METRIC}, {place}", f"minus {REFERENCE}'s"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    best = best_within(results)
    for arm in sorted(arms(places), key=times.__getitem__):
        name = _spec(places, arm)
        cells = [f"**`{name}`**" if arm in best.values() else f"`{name}`", f"{times[arm]:.2f}"]
        for rows in places.values():
            cells += [number(rows[arm]["metrics"][METRIC]), gain(rows[arm])] if arm in rows else ["", ""]
        lines.append(f"| {' | '.join(cells)} |")
    told = [f"within {budget:g} of its time `{_spec(places, arm)}`" for budget, arm in best.items()]
    text = f"Recommended, by the mean {METRIC} of {' and '.join(places)}: {', '.join(told)}."
    tails = [tail(results, name, PLACES[name]) for name in kept(results, PLACES)]
    return "\n".join(lines) + f"\n\n{text}  \n" + "  \n".join(tails)


def best_within(results: Path) -> dict[float, str]:
    """Return the arm that is most accurate, by the mean over places, within each budget of time."""
    places, times = studies(results, PLACES), _times(results)
    means = {arm: _mean(places, arm) for arm in arms(places)}
    return {
        budget: max((arm for arm in means if times[arm] <= budget), key=means.__getitem__) for budget in BUDGETS
    }  # fmt: skip


def draw(results: Path, path: Path) -> None:
    """Draw accuracy over time, with intervals, a line along the front of each place."""
    pyplot = drawing()
    places, times = studies(results, PLACES), _times(results)
    figure, panels = pyplot.subplots(
        len(places), 1, figsize=(8, 3.6 * len(places)), layout="constrained", squeeze=False, sharex=True
    )  # fmt: skip
    for (place, rows), axes, colour in zip(places.items(), panels[:, 0], COLOURS, strict=False):
        points = sorted((times[arm], row["metrics"][METRIC], arm) for arm, row in rows.items())
        for time, value, _ in points:
            axes.plot([time, time], [value["low"], value["high"]], color=colour, linewidth=1.5, alpha=0.35)
            axes.plot(time, value["value"], "o", color=colour, markersize=6)
        line, most = [], 0.0
        for time, value, _ in points:
            if value["value"] > most:
                most = value["value"]
                line.append((time, most))
        axes.step([*(x for x, _ in line), 1.05], [*(y for _, y in line), most], where="post", color=colour, linewidth=1)
        axes.set_ylabel(f"{METRIC}, {place}")
        axes.grid(color="#eee", linewidth=0.6)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    panels[-1, 0].set_xlabel(f"time of the ONNX file over that of {REFERENCE}, one thread of a CPU, 240x320")
    figure.draw_without_rendering()  # only now do places on the axes have pixels
    for rows, axes in zip(places.values(), panels[:, 0], strict=True):
        _label(axes, [(times[arm], row["metrics"][METRIC]["value"], arm) for arm, row in rows.items()])
    figure.savefig(path, metadata={"Date": None}, facecolor="white")
    pyplot.close(figure)


def _label(axes: Any, points: list[tuple[float, float, str]]) -> None:
    """Write a name beside each point, at the first of a few places where it covers no other name and no point."""
    at = [tuple(axes.transData.transform(point[:2])) for point in points]
    taken = [(x - 4, y - 4, x + 4, y + 4) for x, y in at]
    for (x, y), (*place, name) in zip(at, points, strict=True):
        for right, up in _SEATS:
            left = x + right if right > 0 else x + right - _LETTER * len(name)
            box = (left, y + up, left + _LETTER * len(name), y + up + 10)
            if not any(box[0] < o[2] and o[0] < box[2] and box[1] < o[3] and o[1] < box[3] for o in taken):
                break
        taken.append(box)
        axes.annotate(
            name, place, xytext=(right, up), textcoords="offset pixels", fontsize=8,
            ha="left" if right > 0 else "right",
        )  # fmt: skip


def _spec(places: dict[str, Rows], arm: str) -> str:
    """Return the student of an arm: its label says it, up to a comma."""
    return str(next(rows[arm]["label"] for rows in places.values() if arm in rows)).partition(",")[0]


def _times(results: Path) -> dict[str, float]:
    """Return the time of each arm over that of the reference."""
    found = json.loads((results / f"{TIMES}.json").read_text())["backbones"]["rows"]
    ratios = {row["backbone"]: row["processor_ratio"]["median"] for row in found if row["failed"] is None}
    places = studies(results, PLACES)
    return {arm: float(ratios[_spec(places, arm).removeprefix("timm:")]) for arm in arms(places)}


def _mean(places: dict[str, Rows], arm: str) -> float:
    """Return the metric's mean over places; 0 where an arm was not run in all of them."""
    values = [rows[arm]["metrics"][METRIC]["value"] for rows in places.values() if arm in rows]
    return float(sum(values) / len(values)) if len(values) == len(places) else 0.0
