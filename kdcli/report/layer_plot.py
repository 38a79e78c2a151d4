"""Feature statistics before and after a fit, layer by layer; matplotlib is an optional dependency."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kdcli.files import atomic

NEEDS = "needs matplotlib, which is not installed (pip install matplotlib)"
NAMED = 48
"""Most layers whose names are written out; more are counted."""


def available() -> bool:
    """Whether plots can be drawn."""
    return importlib.util.find_spec("matplotlib") is not None


def plot_layers(path: Path, layers: Sequence[Mapping[str, Any]], title: str = "") -> None:
    """Draw the distance of each layer before and after as PNG, in the order in which the layers run.

    layers: rows with ``name``, ``before``, ``after`` and ``weight``, as ``FitReport.document`` gives them. Layers of no
    weight, which were not fitted to, are hollow.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(min(max(6.5, 2.5 + 0.24 * len(layers)), 16), 5.2), layout="constrained")
    axes = figure.subplots()
    places = range(len(layers))
    for key, colour in (("before", "C1"), ("after", "C0")):
        values = [row[key] for row in layers]
        axes.plot(places, values, "-", color=colour, linewidth=1.2, label=f"{key}, mean {_mean(values):.3g}")
        for counted in (True, False):
            dots = [(i, row[key]) for i, row in enumerate(layers) if (row.get("weight", 1.0) > 0) is counted]
            axes.plot(
                [i for i, _ in dots], [value for _, value in dots], "o", color=colour, markersize=4.5,
                markerfacecolor=colour if counted else "white",
            )
    low, high = ([row[key] for row in layers] for key in ("before", "after"))
    axes.vlines(places, low, high, color="0.75", linewidth=0.8, zorder=0)
    if any(row.get("weight", 1.0) == 0 for row in layers):
        axes.plot([], [], "o", color="0.3", markerfacecolor="white", label="not fitted to")
    if min(value for row in layers for value in (row["before"], row["after"])) > 0:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(_tick)
        axes.yaxis.set_minor_formatter(_tick)
    if len(layers) <= NAMED:
        names = _short([str(row["name"]) for row in layers])
        axes.set_xticks(list(places), names, rotation=90, fontsize="x-small", family="monospace")
    axes.set_xlim(-0.6, len(layers) - 0.4)
    axes.set(xlabel="layers, first to last", ylabel="distance to the teacher's statistics", title=title)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=110, metadata={"Software": None} if path.suffix.lower() == ".png" else None)


def _tick(value: float, place: float = 0.0) -> str:
    """Return a plain number for 1, 2, 3 and 5 times a power of ten."""
    text = f"{value:g}"
    return text if text.replace(".", "").strip("0") in ("1", "2", "3", "5") else ""


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _short(names: Sequence[str]) -> list[str]:
    """Leave out the modules that all names begin with."""
    parts = [name.split(".") for name in names]
    shared = 0
    while len({tuple(part[: shared + 1]) for part in parts}) == 1 and all(len(part) > shared + 1 for part in parts):
        shared += 1
    return [".".join(part[shared:]) for part in parts]
