"""Results as rows of text, for the terminal and for the HTML report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from kdcli.evals import uncertainty
from kdcli.evals.extras.registry import told as describe
from kdcli.evals.metrics import HIGHER_IS_BETTER, NAMES
from kdcli.evals.perturb import ATTACKS
from kdcli.evals.results import Result, compare
from kdcli.evals.speed import Speed

UNITS = {"sq_rel": "m", "rmse": "m", "silog": "x100"}
"""What a metric is given in; the others are ratios or logarithms."""

Rows = tuple[list[str], list[list[str]]]
"""Column names and rows."""


def metric_rows(results: Sequence[Result]) -> Rows:
    """Return one row per metric and one column per model: the value and its 95 % interval over images, then its cost.
    """
    columns = [_what(results), "better", *(result.model for result in results)]
    rows = [
        [_label(name), _direction(name), *(_estimate(r.metrics[name], r.ci95[name]) for r in results)] for name in NAMES
    ]
    return columns, [*rows, *_cost_rows(results)]


def overview_rows(results: Sequence[Result], speeds: Mapping[str, Speed] | None = None) -> Rows:
    """Return one row per model, the best first: what most readers look for, with what it costs.

    speeds: by model; without them latency and size of the weights are left out.
    """
    order = sorted(results, key=lambda r: (not math.isfinite(r.metrics["abs_rel"]), r.metrics["abs_rel"]))
    names = ("abs_rel", "delta1", "rmse")
    unlike, sizes = len({r.n for r in results}) > 1, {r.cost.size for r in results if r.cost.size is not None}
    columns = ["model", *map(arrowed, names), "parameters \u2193", "multiply-adds \u2193"]
    columns += ["latency (ms) \u2193", "weights (MB) \u2193"] if speeds else []
    rows = []
    for r in order:
        work = multiply_adds(r.cost.document()) if len(sizes) > 1 else amount(r.cost.multiply_adds)
        rows.append([
            r.model, *(_estimate(r.metrics[name], r.ci95[name]) for name in names), amount(r.cost.parameters), work,
            *(_speed(speeds.get(r.model, Speed())) if speeds else []), *([str(r.n)] if unlike else []),
        ])  # fmt: skip
    return [*columns, *(["images"] if unlike else [])], rows


def arrowed(name: str) -> str:
    """Return a metric's name with its unit and an arrow to where it is better."""
    return f"{_label(name)} {arrow(_direction(name))}"


def arrow(direction: str) -> str:
    """Return ``less`` and ``more`` as an arrow, other words as they are."""
    return {"less": "\u2193", "more": "\u2191"}.get(direction, direction)


def _speed(speed: Speed) -> list[str]:
    return [
        "-" if speed.seconds is None else f"{1000 * speed.seconds:.3g}",
        "-" if speed.bytes is None else f"{speed.bytes / 1e6:.3g}",
    ]


def _cost_rows(results: Sequence[Result]) -> list[list[str]]:
    """Return parameters and multiply-adds, a dash where they cannot be told."""
    parameters = [amount(result.cost.parameters) for result in results]
    work = [multiply_adds(result.cost.document()) for result in results]
    return [["parameters", "less", *parameters], ["multiply-adds", "less", *work]]


def multiply_adds(document: Mapping[str, Any]) -> str:
    """Return the multiply-adds of a result document with the size that they were counted at, or a dash."""
    size = document.get("multiply_adds_at")
    at = f" at {size[0]}x{size[1]}" if size else ""
    return f"{amount(document.get('multiply_adds'))}{at}"


def amount(value: int | None) -> str:
    """Return a large number with three significant digits and k, M, G or T; a dash where there is none."""
    if value is None:
        return "-"
    number, unit = float(value), ""
    for larger in ("k", "M", "G", "T"):
        if number < 999.5:
            break
        number, unit = number / 1000, f" {larger}"
    digits = 0 if not unit or number >= 99.95 else 1 if number >= 9.995 else 2
    return f"{number:.{digits}f}{unit}"


def paired_rows(results: Sequence[Result], *, turned: bool = False) -> Rows:
    """Return every later model against the first: difference, interval, and how sure its sign is.

    turned: the first minus each later one.
    """
    columns, rows = [_what(results), "better"], [[_label(name), _direction(name)] for name in NAMES]
    for other in results[1:]:
        found = compare(results[0], other) if turned else compare(other, results[0])
        columns += [f"{found.first} - {found.second} (n={found.n})", "share > 0"]
        for row, name in zip(rows, NAMES, strict=True):
            row.append(_estimate(found.difference[name], found.ci95[name], sign=True))
            row.append(number(found.share_above_zero[name]))
    return columns, rows


def extra_rows(results: Sequence[Result]) -> Rows:
    """Return the metrics beside the nine, one row each, with how many images have it; none where none was asked for."""
    told = [(result, result.extras) for result in results if result.extras is not None]
    table, rows = ["extra metric", "better", *(result.model for result, _ in told)], []
    for name in told[0][1].names if told else ():
        better, unit = describe(name)
        found = [
            _estimate(extras.metrics[name], extras.ci95[name])
            + ("" if extras.n[name] == result.n else f" (n={extras.n[name]})")
            for result, extras in told
        ]
        rows.append([f"{name} ({unit})" if unit else name, better, *found])
    return table, rows


def uncertainty_rows(results: Sequence[Result]) -> Rows:
    """Return how well each model knows where it is wrong, one row per number; none where no model tells."""
    told = [result for result in results if result.uncertainty is not None]
    columns = ["uncertainty", "better", *(result.model for result in told)]
    rows = []
    for name in uncertainty.NAMES if told else ():
        found = [(r.uncertainty.metrics[name], r.uncertainty.ci95[name]) for r in told if r.uncertainty is not None]
        what, _, share = name.partition("_")
        better = {"ause": "less", "aurg": "more", "coverage": f"0.{share[:1]}"}.get(what, "")
        label = f"{name} (m)" if what == "width" or name == "mean_std" else name
        rows.append([label, better, *(_estimate(value, bounds) for value, bounds in found)])
    return columns, rows


def perturbed_rows(results: Sequence[Result]) -> Rows:
    """Return each metric on images as they are and as each attack made them, three columns a model; none where that was
    not measured."""
    told = [(result, result.perturbed) for result in results if result.perturbed is not None]
    columns, rows = ["perturbed", "better"], [[_label(name), _direction(name)] for name in NAMES]
    for result, found in told:
        columns += [result.model, *(f"{result.model} {attack} {found.epsilon:.3g}" for attack in ATTACKS)]
        for row, name in zip(rows, NAMES, strict=True):
            row.append(number(result.metrics[name]))
            row += [_estimate(found.metrics[attack][name], found.ci95[attack][name]) for attack in ATTACKS]
    return columns, rows if told else []


def condition_rows(results: Sequence[Result]) -> Rows:
    """Return how each model was measured."""
    columns = ["model", "depth kind", "protocol", "hash", "align", "seen at", "images", "skipped", "pixels"]
    rows = [
        [
            r.model, str(r.depth_kind or "unknown"), r.protocol.name, r.protocol.hash, r.protocol.alignment, r.seen_at,
            str(r.n), str(len(r.skipped)), str(int(r.pixels.sum())),
        ]
        for r in results
    ]  # fmt: skip
    return columns, rows


def skipped_rows(results: Sequence[Result], most: int | None = None) -> Rows:
    """Return the images that are in no metric with the reason; models that agree share a row.

    most: cut after so many rows and say in a last row how many there are beyond.
    """
    who: dict[tuple[str, str], list[str]] = {}
    for result in results:
        for skipped in result.skipped:
            who.setdefault((skipped.id, skipped.reason), []).append(result.model)
    rows = [
        [image, reason, "all models" if len(models) == len(results) else ", ".join(models)]
        for (image, reason), models in who.items()
    ]
    if most is not None and len(rows) > most:
        rows = [*rows[:most], [f"and {len(rows) - most} more", "", ""]]
    return ["skipped image", "reason", "model"], rows


def number(value: float, *, sign: bool = False) -> str:
    """Return a number with four significant digits; a dash where there is none."""
    if not math.isfinite(value):
        return "-"
    digits = max(0, 3 - math.floor(math.log10(abs(value)))) if value else 4
    return f"{value:{'+' if sign else ''}.{min(digits, 6 if sign else 4)}f}"


def _estimate(value: float, bounds: tuple[float, float], *, sign: bool = False) -> str:
    if not all(map(math.isfinite, bounds)):
        return number(value, sign=sign)
    low, high = (number(bound, sign=sign) for bound in bounds)
    return f"{number(value, sign=sign)} [{low}, {high}]"


def _what(results: Sequence[Result]) -> str:
    return "metric" if all(result.against is None for result in results) else "fidelity metric"


def _label(name: str) -> str:
    return f"{name} ({UNITS[name]})" if name in UNITS else name


def _direction(name: str) -> str:
    return "more" if name in HIGHER_IS_BETTER else "less"
