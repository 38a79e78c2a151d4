"""Two more drawings as SVG text: intervals of differences about zero, and accuracy over cost."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from kdcli.report.plots import COLOURS, opening, ticks
from kdcli.text import block as plain

_WIDTH = 640
_LINE = 26
_LEFT, _RIGHT = 16, 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A difference and its interval by name."""

    name: str
    value: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether the interval is clear of zero."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A model by what it costs and how far off it is."""

    name: str
    cost: float
    error: float


def forest(intervals: Sequence[Interval], x_label: str) -> str:
    """Return one line for each interval, its name above it, over a common axis with zero marked.

    What is clear of zero is drawn full, the rest hollow.
    """
    shown = [one for one in intervals if all(map(math.isfinite, (one.value, one.low, one.high)))]
    if not shown:
        return f'{opening(40, x_label)}{_text(8, 24, "no intervals", "start")}</svg>'
    low, high = min(0.0, *(one.low for one in shown)), max(0.0, *(one.high for one in shown))
    margin = 0.06 * ((high - low) or 1.0)
    low, high = low - margin, high + margin

    def at(x: float) -> float:
        return _LEFT + (x - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    bottom = 8 + 2 * _LINE * len(shown)
    parts = [opening(bottom + 44, f"{x_label}, with intervals: {', '.join(one.name for one in shown)}")]
    for value in ticks(low, high):
        parts.append(f'<line x1="{at(value):.1f}" x2="{at(value):.1f}" y1="4" y2="{bottom}" stroke="#8884"/>')
        parts.append(_text(at(value), bottom + 18, f"{value:+.4g}" if value else "0", "middle"))
    parts.append(f'<line x1="{at(0):.1f}" x2="{at(0):.1f}" y1="4" y2="{bottom}" stroke="currentColor"/>')
    for i, one in enumerate(shown):
        y, colour = 8 + 2 * _LINE * i, COLOURS[0] if one.clear else "#888"
        parts.append(_text(_LEFT, y + 14, one.name, "start"))  # lines of the axis pass behind it
        y += _LINE + 6
        parts.append(f'<line x1="{at(one.low):.1f}" x2="{at(one.high):.1f}" y1="{y}" y2="{y}" stroke="{colour}" '
                     'stroke-width="3" stroke-linecap="round"/>')
        parts.append(f'<circle cx="{at(one.value):.1f}" cy="{y}" r="6" stroke="{colour}" stroke-width="2" '
                     f'fill="{colour if one.clear else "Canvas"}"/>')
    parts.append(_text(_WIDTH / 2, bottom + 38, x_label, "middle"))
    return "".join([*parts, "</svg>"])


def scatter(points: Sequence[Point], x_label: str, y_label: str) -> str:
    """Return points over a logarithmic axis of cost; lower and further left is better."""
    known = [one for one in points if one.cost > 0 and math.isfinite(one.error)]
    if not known:
        return f'{opening(40, "a plot without values")}{_text(8, 24, "no values", "start")}</svg>'
    height, left, top, bottom = 300, 64, 28, 44
    logs = [math.log10(one.cost) for one in known]
    x_low, x_high = math.floor(min(logs) * 2 - 0.2) / 2, math.ceil(max(logs) * 2 + 0.2) / 2
    errors = [one.error for one in known]
    spread = (max(errors) - min(errors)) or 0.5 * max(errors) or 1.0
    y_low, y_high = max(0.0, min(errors) - 0.25 * spread), max(errors) + 0.25 * spread

    def x_at(cost: float) -> float:
        return left + (math.log10(cost) - x_low) / (x_high - x_low) * (_WIDTH - left - _RIGHT)

    def y_at(error: float) -> float:
        return height - bottom - (error - y_low) / (y_high - y_low) * (height - top - bottom)

    parts = [opening(height, f"{y_label} over {x_label}: {', '.join(one.name for one in known)}")]
    for value in ticks(y_low, y_high):
        y = y_at(value)
        parts.append(f'<line x1="{left}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#8884"/>')
        parts.append(_text(left - 6, y + 4, f"{value:.4g}", "end"))
    for power in range(math.ceil(x_low - 1e-9), math.floor(x_high + 1e-9) + 1):
        x = x_at(10.0**power)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{height - bottom}" stroke="#8884"/>')
        parts.append(_text(x, height - bottom + 18, _power(power), "middle"))
    for i, one in enumerate(known):
        x, y = x_at(one.cost), y_at(one.error)
        side = "end" if x > _WIDTH / 2 else "start"
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="{COLOURS[i % len(COLOURS)]}"/>')
        parts.append(_text(x + (-11 if side == "end" else 11), y + 4, one.name, side))
    parts.append(_text((left + _WIDTH - _RIGHT) / 2, height - 6, x_label, "middle"))
    parts.append(_text(8, 16, y_label, "start"))
    return "".join([*parts, "</svg>"])


def _power(power: int) -> str:
    unit = {0: "", 3: " k", 6: " M", 9: " G", 12: " T"}
    base = power - power % 3
    return f"{10 ** (power % 3)}{unit[base]}" if base in unit else f"1e{power}"


def _text(x: float, y: float, text: str, anchor: str) -> str:
    halo = 'stroke="Canvas" stroke-width="4" stroke-linejoin="round" paint-order="stroke"'
    shown = html.escape(plain(text))
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="currentColor" {halo}>{shown}</text>'
