"""The figure of ``kdcli explain``: maps above, what the model believes at single pixels below."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from kdcli.errors import ConfigError
from kdcli.files import atomic
from kdcli.predict.beliefs import SHARE, Belief, Beliefs
from kdcli.predict.depth_maps import even_in_log
from kdcli.uncertainty import edges, quantiles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 4
STUDENT, TEACHER, TRUTH = "#0072b2", "#d55e00", "#000000"  # of Okabe and Ito, told apart by colour-blind people too
_MARKS = ("#f0e442", "#56b4e9", "#009e73", "#cc79a7", "#e69f00", "#ffffff")


def require() -> None:
    """Check that the figure can be drawn, before the work.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise ConfigError("the figure needs matplotlib, which is not installed; pip install matplotlib")


def draw(path: Path, found: Beliefs, *, student: str, teacher: str | None = None) -> None:
    """Write the figure as a picture in the format of the path's ending (PNG, PDF, SVG).

    student, teacher: how they are called in the legend.
    """
    from matplotlib.figure import Figure

    rows = -(-len(found.pixels) // COLUMNS)
    height, width = found.depth.shape
    maps = 2.6 * height / width + 0.25  # the latter for the title
    figure = Figure(figsize=(11, maps + 2.4 * rows + 1.0), layout="constrained")
    # Bars have a row of their own, so that the picture stands level with the maps.
    grid = figure.add_gridspec(2 + rows, COLUMNS, height_ratios=[maps, 0.09, *[2.4] * rows])
    above, bars = ([figure.add_subplot(grid[row, i]) for i in range(COLUMNS)] for row in (0, 1))
    _maps(figure, above, bars, found)
    limits = _limits(found)
    panels = [figure.add_subplot(grid[2 + i // COLUMNS, i % COLUMNS]) for i in range(len(found.pixels))]
    for number, (axes, belief) in enumerate(zip(panels, found.pixels, strict=True), start=1):
        _panel(axes, belief, found, limits, number)
        if (number - 1) % COLUMNS == 0:
            axes.set_ylabel("probability of a bin", fontsize=8)
    _legend(figure, found, student, teacher)
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=160, metadata={"Software": None} if path.suffix.lower() == ".png" else None)


def _maps(figure: Figure, axes: list[Axes], bars: list[Axes], found: Beliefs) -> None:
    axes[0].imshow(found.image.permute(1, 2, 0).clamp(0, 1).numpy())
    axes[0].set_title("image", fontsize=9)
    for number, belief in enumerate(found.pixels, start=1):
        for one in axes:
            badge(one, belief.pixel.x, belief.pixel.y, number)
    shown: tuple[tuple[str, torch.Tensor, dict[str, Any]], ...] = (
        ("depth, m", found.depth, {"cmap": "Spectral"}),
        ("standard deviation, m", found.std, {"cmap": "magma"}),
        ("entropy, share of ln K", found.entropy, {"cmap": "magma"}),
    )
    bars[0].axis("off")
    for one, bar_axes, (title, values, how) in zip(axes[1:], bars[1:], shown, strict=True):
        drawn = one.imshow(values.numpy(), interpolation="nearest", **how)
        one.set_title(title, fontsize=9)
        figure.colorbar(drawn, cax=bar_axes, orientation="horizontal").ax.tick_params(labelsize=7)
    for one in axes:
        one.set(xticks=[], yticks=[])


def _panel(axes: Axes, belief: Belief, found: Beliefs, limits: tuple[float, float], number: int) -> None:
    from matplotlib.ticker import MaxNLocator

    bounds = edges(found.centers).tolist()
    axes.stairs(belief.probs.tolist(), bounds, fill=True, color=STUDENT, alpha=0.3, linewidth=0)
    axes.stairs(belief.probs.tolist(), bounds, color=STUDENT, linewidth=1.1)
    top = float(belief.probs.max())
    if belief.target is not None:
        axes.stairs(belief.target.tolist(), bounds, color=TEACHER, linewidth=1.3)
        top = max(top, float(belief.target.max()))
    # Expected depth with its interval lies below the zero line, where it covers nothing.
    under = -0.075 * top
    axes.axhline(0, color="0.6", linewidth=0.6)
    axes.hlines(under, *belief.interval, color=STUDENT, linewidth=2.2)
    axes.plot(belief.depth, under, "o", color=STUDENT, ms=5)
    if belief.teacher is not None:
        axes.axvline(belief.teacher, color=TEACHER, linestyle="--", linewidth=1)
    if belief.truth is not None:
        axes.axvline(belief.truth, color=TRUTH, linestyle=":", linewidth=1.4)
    axes.set_ylim(2 * under, 1.08 * top)
    axes.set_yticks([tick for tick in MaxNLocator(4).tick_values(0, top) if 0 <= tick <= 1.08 * top])
    _depth_axis(axes, limits, log=even_in_log(found.centers))
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    entropy = belief.entropy / torch.tensor(float(len(belief.probs))).log().item()
    title = f"{belief.pixel.why} ({belief.pixel.x}, {belief.pixel.y})"
    says = f"{belief.depth:.2f} \u00b1 {belief.std:.2f} m, entropy {entropy:.2f}"
    known = (("teacher", belief.teacher), ("truth", belief.truth))
    others = [f"{name} {value:.2f} m" for name, value in known if value is not None]
    axes.set_title("\n".join([title, says, ", ".join(others)]).rstrip(), fontsize=8, loc="left")
    badge(axes, 0.06, 0.93, number, transform=axes.transAxes)


def _depth_axis(axes: Axes, limits: tuple[float, float], *, log: bool) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    low, high = limits
    if log:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)) if high > 6 * low else MaxNLocator(5))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(low, high)
    axes.set_xlabel("depth, m", fontsize=8)


def _limits(found: Beliefs) -> tuple[float, float]:
    """Return the range of depth that holds all that the panels show, so that they can be compared."""
    shown = [one for belief in found.pixels for one in (belief.probs, belief.target) if one is not None]
    ends = quantiles(torch.stack(shown)[..., None, None], found.centers, (0.01, 0.99)).flatten(1)
    points = [v for belief in found.pixels for v in (belief.teacher, belief.truth, belief.depth) if v is not None]
    low, high = min(float(ends[:, 0].min()), *points), max(float(ends[:, 1].max()), *points)
    bounds = edges(found.centers)
    if even_in_log(found.centers):
        return max(low / 1.1, float(bounds[0].clamp(min=1e-3))), min(high * 1.1, 1.05 * float(bounds[-1]))
    room = 0.05 * (high - low)
    return low - room, high + room


def _legend(figure: Figure, found: Beliefs, student: str, teacher: str | None) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [
        Patch(facecolor=STUDENT, alpha=0.4, edgecolor=STUDENT, label=f"{student}: distribution"),
        Line2D([], [], color=STUDENT, marker="o", linewidth=2.2, label=f"its expected depth and central {SHARE:.0%}"),
    ]
    if found.sigma is not None:
        spread = f"{100 * found.sigma:.3g} %" if even_in_log(found.centers) else f"{found.sigma:.3g} m"
        label = f"{teacher}: depth probability map ({found.dpm}, sigma {spread})"
        handles += [Line2D([], [], color=TEACHER, linewidth=1.3, label=label),
                    Line2D([], [], color=TEACHER, linestyle="--", linewidth=1, label="its depth")]
    if any(belief.truth is not None for belief in found.pixels):
        handles.append(Line2D([], [], color=TRUTH, linestyle=":", linewidth=1.4, label="ground truth"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=8, frameon=False)


def badge(axes: Axes, x: float, y: float, number: int, **how: Any) -> None:
    """Mark a place by a number in a circle."""
    colour = _MARKS[(number - 1) % len(_MARKS)]
    axes.plot(x, y, "o", ms=10, mec="black", mew=1, mfc=colour, clip_on=False, **how)
    axes.text(x, y, str(number), ha="center", va="center_baseline", fontsize=7, weight="bold", clip_on=False, **how)
