"""Line plots as SVG text: small, sharp at any size, and without a plotting library."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

from kdcli.text import block as plain

COLOURS = ("#3b7dd8", "#e07b39", "#3a9d5d", "#b5489a", "#8a8a2c", "#c0392b")
_WIDTH, _HEIGHT = 640, 300
_ROW = 16
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 24, 44


def svg(series: Mapping[str, Sequence[tuple[float, float]]], x_label: str = "step", y_label: str = "") -> str:
    """Return lines over common axes as an SVG element; points that are not finite are left out."""
    lines = {
        name: [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)] for name, points in series.items()
    }
    xs = [x for points in lines.values() for x, _ in points]
    ys = [y for points in lines.values() for _, y in points]
    if not xs:
        return f'{opening(40, "a plot without values")}{text(8, 24, "no values", "start")}</svg>'
    (x_low, x_high), (y_low, y_high) = _span(xs), _span(ys)

    def at(x: float, y: float) -> tuple[float, float]:
        across = (x - x_low) / (x_high - x_low) * (_WIDTH - _LEFT - _RIGHT)
        up = (y - y_low) / (y_high - y_low) * (_HEIGHT - _TOP - _BOTTOM)
        return _LEFT + across, _HEIGHT - _BOTTOM - up

    legend = _legend(list(lines))
    top = _ROW * (max((row for row, _ in legend.values()), default=0))
    parts = [opening(_HEIGHT + top, f"{y_label or 'values'} over {x_label}: {', '.join(lines)}", -top)]
    for value in ticks(y_low, y_high):
        _, y = at(x_low, value)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#8884"/>')
        parts.append(text(_LEFT - 6, y + 4, f"{value:.4g}", "end"))
    for value in ticks(x_low, x_high):
        x, _ = at(value, y_low)
        parts.append(text(x, _HEIGHT - _BOTTOM + 16, f"{value:.6g}", "middle"))
    parts.append(text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 8, x_label, "middle"))
    parts.append(text(8, 14, y_label, "start"))
    for i, (name, points) in enumerate(lines.items()):
        colour = COLOURS[i % len(COLOURS)]
        path = " ".join("{:.1f},{:.1f}".format(*at(x, y)) for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        row, across = legend[name]
        parts.append(f'<rect x="{across:.0f}" y="{5 + _ROW * row - top}" width="10" height="10" fill="{colour}"/>')
        parts.append(text(across + 14, 14 + _ROW * row - top, name, "start"))
    return "".join([*parts, "</svg>"])


def opening(height: int, told: str, top: int = 0) -> str:
    """Return the tag that begins a drawing. told: what it shows, for those who do not see it."""
    label = html.escape(plain(told), quote=True)
    box = f'viewBox="0 {top} {_WIDTH} {height}" width="{_WIDTH}"'
    return f'<svg {box} role="img" aria-label="{label}" font-size="13">'


def _legend(names: Sequence[str]) -> dict[str, tuple[int, float]]:
    """Return the row and the left edge of each name; a row ends where the next name would leave the picture."""
    places: dict[str, tuple[int, float]] = {}
    row, across = 0, float(_LEFT + 80)
    for name in names:
        wide = 30 + 7.5 * len(name)
        if across + wide > _WIDTH and across > _LEFT + 80:
            row, across = row + 1, float(_LEFT + 80)
        places[name] = (row, across)
        across += wide
    return places


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return round numbers from low to high, at most so many."""
    step = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(step * factor for factor in (1, 2, 5, 10, 20) if (high - low) / (step * factor) <= most - 1)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = 0.5 * abs(low) or 0.5
    return (low - margin, high + margin) if high - low <= 1e-9 * max(abs(low), abs(high)) else (low, high)


def text(x: float, y: float, told: str, anchor: str) -> str:
    """Return words at a place of a drawing, in the colour of the page's own."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="currentColor">{html.escape(plain(told))}</text>'
