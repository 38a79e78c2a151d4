"""Accuracy over steps and over images, data-free and from the teacher's own images: two studies, tables and a plot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from figures_of_studies import COLOURS, METRIC, drawing, gain, number, tail

CURVES = {"trials-steps": "steps", "trials-images": "images"}
"""Result files of the two studies, and what they count."""
ARMS = {"kd-target": "#444444", "data-free": COLOURS[1], "plus": COLOURS[0]}


def table(results: Path) -> str:
    """Return two Markdown tables: by steps, then by images."""
    parts = []
    for name, counted in CURVES.items():
        rows = _rows(results, name)
        lines = [f"| {counted} | {' | '.join(f'`{arm}`' for arm in ARMS)} | `plus` minus `kd-target` |"]
        lines.append("|---" * (len(ARMS) + 2) + "|")
        for count in sorted({count for _, count in rows}):
            cells = [number(rows[arm, count]["metrics"][METRIC]) for arm in ARMS]
            lines.append(f"| {count:,} | {' | '.join(cells)} | {gain(rows['plus', count])} |")
        parts.append("\n".join(lines) + f"\n\n{tail(results, name, f'{METRIC} by {counted}')}")
    return "\n\n".join(parts)


def draw(results: Path, path: Path) -> None:
    """Draw both, each arm with its 95 % interval as a band."""
    pyplot = drawing()
    figure, panels = pyplot.subplots(1, len(CURVES), figsize=(9, 3.8), layout="constrained", sharey=True)
    for (name, counted), axes in zip(CURVES.items(), panels, strict=True):
        rows = _rows(results, name)
        counts = sorted({count for _, count in rows})
        for arm, colour in ARMS.items():
            found = [rows[arm, count]["metrics"][METRIC] for count in counts]
            axes.fill_between(
                counts, [one["low"] for one in found], [one["high"] for one in found], color=colour, alpha=0.15,
                linewidth=0,
            )  # fmt: skip
            axes.plot(counts, [one["value"] for one in found], "o-", color=colour, markersize=4, label=arm)
        axes.set_xscale("log")
        axes.set_xticks(counts, [f"{count:,}" for count in counts])
        axes.minorticks_off()
        axes.set_xlabel(counted)
        axes.grid(color="#eee", linewidth=0.6)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    panels[0].set_ylabel(METRIC)
    panels[0].legend(frameon=False, loc="lower right")
    figure.savefig(path, metadata={"Date": None}, facecolor="white")
    pyplot.close(figure)


def _rows(results: Path, name: str) -> dict[tuple[str, int], dict[str, Any]]:
    """Return the rows of a study by arm and count."""
    found = json.loads((results / f"{name}.json").read_text())["study"]["rows"]
    return {(row["arm"], row["count"]): row for row in found}
