"""Accuracy over latency, as a picture."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from kdcli.benching.report import Report, Row
from kdcli.benching.table import title
from kdcli.errors import ConfigError
from kdcli.files import atomic

ENDINGS = (".png", ".svg")
_MARKERS = "osD^vP*Xhd"


def require_plot(path: Path) -> None:
    """Refuse a picture that could not be drawn, before the work whose result it is to show.

    Raises:
        ConfigError: its ending, or matplotlib is missing.
    """
    if path.suffix not in ENDINGS:
        raise ConfigError(f"--plot '{path}' is no picture that is drawn; end it in {' or '.join(ENDINGS)}")
    if importlib.util.find_spec("matplotlib") is None:
        raise ConfigError("--plot needs matplotlib, which is not installed; run: pip install matplotlib")


def plot(report: Report, path: Path) -> None:
    """Draw accuracy over latency: a colour for each model, a mark for each runtime, the front as a line.

    Bars are the quartiles of latency and the 95 % interval of accuracy. What has no accuracy is left out.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    shown = [(row, row.accuracy) for row in report.rows if row.accuracy is not None]
    models, runtimes = (list(dict.fromkeys(one)) for one in (
        (_called(row, report) for row, _ in shown), (_runtime(row) for row, _ in shown),
    ))
    figure = Figure(figsize=(8.5, 5), layout="constrained")
    axes = figure.subplots()
    for row, told in shown:
        x, y = 1000 * row.wall.median, told.delta1
        across = [[x - 1000 * row.wall.low], [1000 * row.wall.high - x]]
        up = None if told.low is None or told.high is None else [[y - told.low], [told.high - y]]
        axes.errorbar(
            x, y, xerr=across, yerr=up, fmt=_MARKERS[runtimes.index(_runtime(row)) % len(_MARKERS)], markersize=7,
            color=f"C{models.index(_called(row, report)) % 10}", elinewidth=0.8, alpha=0.85, zorder=3,
        )
    front = front_of([row for row, _ in shown])
    axes.step([x for x, _ in front], [y for _, y in front], "--", where="post", zorder=4, color="0.25", linewidth=1.2)
    axes.set_xscale("log")
    _plain_ticks(axes)
    axes.set(xlabel="latency, ms (less is better)", ylabel="delta1 (more is better)", title=title(report))
    axes.title.set_fontsize("small")
    axes.grid(alpha=0.3, which="both")
    marks = [Line2D([], [], color=f"C{i % 10}", marker="o", linestyle="", label=one) for i, one in enumerate(models)]
    marks += [Line2D([], [], color="0.3", marker=_MARKERS[i % len(_MARKERS)], linestyle="", label=one)
              for i, one in enumerate(runtimes)]
    marks.append(Line2D([], [], label="nothing is faster and better", color="0.25", linestyle="--"))
    figure.legend(handles=marks, loc="outside right upper", fontsize="small")
    # Pictures of the same numbers are the same to the byte.
    with rc_context({"svg.hashsalt": "kdcli"}), atomic(path) as temporary:
        kind = path.suffix.removeprefix(".")
        noted = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(temporary, format=kind, dpi=110, metadata=noted)


def front_of(rows: Sequence[Row]) -> list[tuple[float, float]]:
    """Return latency in ms and accuracy of the rows than which none is both faster and more accurate, fastest first."""
    known = sorted((1000 * row.wall.median, -row.accuracy.delta1) for row in rows if row.accuracy is not None)
    front = list[tuple[float, float]]()
    for x, minus in known:
        if not front or -minus > front[-1][1]:
            front.append((x, -minus))
    return front


def _called(row: Row, report: Report) -> str:
    """Return the model of a row as the legend has it: a file that stands for itself by its name."""
    return row.model if len(row.model) <= 40 else f"...{row.model[-37:]}"


def _runtime(row: Row) -> str:
    return row.runtime + ("" if row.precision in ("", "fp32") else f", {row.precision}")


def _plain_ticks(axes: object) -> None:
    """Write milliseconds as people do, not as powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    axis = axes.xaxis  # type: ignore[attr-defined]
    low, high = axes.get_xlim()  # type: ignore[attr-defined]
    axis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7) if high / low < 20 else (1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(FuncFormatter(lambda value, _: ""))
