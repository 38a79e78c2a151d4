"""A measurement as the rows of a table, and the sentences below it."""

from __future__ import annotations

from kdcli.benching.report import Report, Row
from kdcli.benching.spread import Spread
from kdcli.report.tables import amount

_MIB = 2**20


def title(report: Report) -> str:
    """Return how it was measured, in a line."""
    sizes = list(dict.fromkeys("{}x{}".format(*row.size) for row in report.rows))
    many = f", {report.batch} images at a time" if report.batch > 1 else ""
    threads = "1 thread" if report.threads == 1 else f"{report.threads} threads"
    rounds = "1 round" if report.rounds == 1 else f"{report.rounds} rounds in turn"
    return f"{' and '.join(sizes)}{many}, {threads}, {rounds}, {report.machine}"


def table(report: Report) -> tuple[list[str], list[list[str]]]:
    """Return columns and rows; columns that nothing is known for are left out."""
    kind = "processor time" if report.by_processor else "latency"
    several = len({row.size for row in report.rows}) > 1
    columns: list[tuple[str, list[str]]] = [
        ("model", [row.name for row in report.rows]),
        ("runs in", [_runs_in(row, report) for row in report.rows]),
        ("size", ["{}x{}".format(*row.size) if several else "" for row in report.rows]),
        ("latency, ms", [_ms(row.wall) for row in report.rows]),
        ("processor, ms", ["" if row.processor is None else _ms(row.processor) for row in report.rows]),
        (f"{kind} / first", [_ratio(report.ratio(row)) if i else "1" for i, row in enumerate(report.rows)]),
        ("memory, MiB", ["" if row.memory is None else f"{row.memory / _MIB:.0f}" for row in report.rows]),
        ("file, MB", ["" if row.bytes is None else f"{row.bytes / 1e6:.1f}" for row in report.rows]),
        ("parameters", [_amount(row.parameters) for row in report.rows]),
        ("multiply-adds", [_amount(row.multiply_adds) for row in report.rows]),
        ("delta1", [_accuracy(row) for row in report.rows]),
    ]
    kept = [(name, cells) for name, cells in columns if any(cells)]
    return [name for name, _ in kept], [list(row) for row in zip(*(cells for _, cells in kept), strict=True)]


def remarks(report: Report) -> list[str]:
    """Return what a reader has to know of the numbers."""
    told = ["latency and processor time: median [quartiles] of rounds; ratios: the same of the rounds' ratios"]
    if len({row.size for row in report.rows}) > 1:
        told.append("not all saw images of one size, so that ratios are of different work")
    protocols = dict.fromkeys(
        f"{one.protocol} ({one.hash}) on {one.data}, {one.images} images"
        + (f"; fidelity to {one.against}, not accuracy" if one.against else "")
        for row in report.rows if (one := row.accuracy) is not None
    )
    if len(protocols) == 1:
        told.append(f"delta1: {next(iter(protocols))}")
    return [*told, *report.notes]


def _runs_in(row: Row, report: Report) -> str:
    devices = {one.device for one in report.rows}
    precision = "" if row.precision in ("", "fp32") else f", {row.precision}"
    return f"{row.runtime}{precision}" + (f", {row.device}" if len(devices) > 1 else "")


def _ms(spread: Spread) -> str:
    low, middle, high = (_three(1000 * one) for one in (spread.low, spread.median, spread.high))
    return f"{middle} [{low}, {high}]"


def _ratio(spread: Spread | None) -> str:
    return "-" if spread is None else f"{spread.median:.3f} [{spread.low:.3f}, {spread.high:.3f}]"


def _three(value: float) -> str:
    """Return a number with three digits that count."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _amount(value: int | None) -> str:
    return "" if value is None else amount(value)


def _accuracy(row: Row) -> str:
    if (one := row.accuracy) is None:
        return ""
    return f"{one.delta1:.3f}" + ("" if one.low is None or one.high is None else f" [{one.low:.3f}, {one.high:.3f}]")
