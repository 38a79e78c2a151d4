"""Accuracy over steps and over images, data-free and from the teacher's own images: tables and a plot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from figures_of_studies import COLOURS, METRIC, drawing, number, tail

CURVES = {"steps": "trials-steps", "images": "trials-images"}
"""What is counted, and the result file of the study of it."""
BESIDE = "data-free-plus-mini"
"""The study that has run the rest of either curve."""
ARMS = {"kd-target": "#444444", "data-free": COLOURS[1], "plus": COLOURS[0]}
AT = 400
"""Updates of the curve over images."""


def table(results: Path) -> str:
    """Return two Markdown tables: by steps, then by images."""
    parts = []
    for counted, name in CURVES.items():
        rows = _rows(results, counted)
        lines = [f"| {counted} | {' | '.join(f'`{arm}`' for arm in ARMS)} |", "|---" * (len(ARMS) + 1) + "|"]
        for count in sorted({count for _, count in rows}):
            cells = [number(rows[arm, count]["metrics"][METRIC]) if (arm, count) in rows else "" for arm in ARMS]
            lines.append(f"| {count:,} | {' | '.join(cells)} |")
        parts.append("\n".join(lines) + f"\n\n{tail(results, name, f'{METRIC} by {counted}')}")
    return "\n\n".join(parts)


def draw(results: Path, path: Path) -> None:
    """Draw both, each arm with its 95 % interval as a band."""
    pyplot = drawing()
    figure, panels = pyplot.subplots(1, len(CURVES), figsize=(9, 3.8), layout="constrained", sharey=True)
    for counted, axes in zip(CURVES, panels, strict=True):
        rows = _rows(results, counted)
        for arm, colour in ARMS.items():
            counts = sorted(count for name, count in rows if name == arm)
            found = [rows[arm, count]["metrics"][METRIC] for count in counts]
            axes.fill_between(
                counts, [one["low"] for one in found], [one["high"] for one in found], color=colour, alpha=0.15,
                linewidth=0,
            )  # fmt: skip
            axes.plot(counts, [one["value"] for one in found], "o-", color=colour, markersize=4, label=arm)
        every = sorted({count for _, count in rows})
        axes.set_xscale("log")
        axes.set_xticks(every, [f"{count:,}" for count in every])
        axes.minorticks_off()
        axes.set_xlabel(counted)
        axes.grid(color="#eee", linewidth=0.6)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    panels[0].set_ylabel(METRIC)
    panels[0].legend(frameon=False, loc="lower right")
    figure.savefig(path, metadata={"Date": None}, facecolor="white")
    pyplot.close(figure)


def _rows(results: Path, counted: str) -> dict[tuple[str, int], dict[str, Any]]:
    """Return the rows of a curve by arm and count, those of the other study with them."""
    found = [(row["arm"], row["count"], row) for row in _study(results, CURVES[counted])["rows"]]
    beside = _study(results, BESIDE)
    for row in beside["rows"]:
        count = row["count"]
        if counted == "images":
            if count != AT:
                continue
            count = beside["variables"]["interiors" if row["arm"] == "plus" else "images"]
        found.append((row["arm"], count, row))
    named = [(arm.partition("-")[0] if arm.startswith("plus-") else arm, count, row) for arm, count, row in found]
    return {(arm, count): row for arm, count, row in named if arm in ARMS}


def _study(results: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((results / f"{name}.json").read_text())["study"]
    return found
