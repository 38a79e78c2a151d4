"""The report of several runs beside the first of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kdcli.report.drawings import Interval
from kdcli.report.html import Block, Curves, Details, Facts, Lead, Section, Table, write_report
from kdcli.report.naming import short_names
from kdcli.report.standing import standing, standing_plot
from kdcli.report.tables import amount, arrowed, number

_SHOWN = ("abs_rel", "delta1", "rmse")
_ALL = ("delta1", "delta2", "delta3", "abs_rel", "sq_rel", "rmse", "rmse_log", "log10", "silog")


def write_comparison(
    path: Path, rows: Sequence[Mapping[str, Any]], manifests: Sequence[Mapping[str, Any]],
    metrics: Sequence[Sequence[Mapping[str, Any]]],
) -> None:  # fmt: skip
    """Write runs as one HTML file.

    rows: as ``kdcli.training.run.compare.compare_runs`` returns them. manifests, metrics: of each run, in that order.
    """
    names = short_names([str(row["run"]) for row in rows])
    runs = [names[str(row["run"])] for row in rows]
    sections = list[Section]()
    if "metrics" in rows[0]:
        results = [manifest["eval"]["student"] for manifest in manifests]
        sections.append(Section(title="Verdict", blocks=_measured(runs, rows, results, "")))
    if all("fidelity" in row for row in rows):
        told = [row["fidelity"] for row in rows]
        results = [manifest["fidelity"]["teacher"]["student"] for manifest in manifests]
        title = "Fidelity to the teacher (not accuracy)"
        sections.append(Section(title=title, blocks=_measured(runs, told, results, "fidelity ")))
    losses = {
        run: [(float(one["step"]), float(one["loss"])) for one in steps if one["variant"] == "student"]
        for run, steps in zip(runs, metrics, strict=True)
    }
    caption = "Training loss of each student; recipes may have other losses."
    curves = Curves(series=losses, y_label="loss", caption=caption)
    sections.append(Section(title="Training", blocks=[curves]))
    sections.append(Section(title="Made from", blocks=[Facts(values=_origins(runs, rows, manifests))]))
    write_report(path, f"kdcli: {len(rows)} runs compared", sections)


def _measured(
    runs: Sequence[str], rows: Sequence[Mapping[str, Any]], results: Sequence[Mapping[str, Any]], prefix: str
) -> list[Block]:
    others, unlike = list[Interval](), list[str]()
    for run, row in zip(runs[1:], rows[1:], strict=True):
        if (found := row["delta1_paired"]) is None:
            unlike.append(run)
        else:
            low, high = found["ci95"]
            others.append(Interval(name=run, value=found["difference"], low=low, high=high))
    lead = standing(f"{prefix}delta1", runs[0], others, unlike)
    columns = ["run", *map(arrowed, _SHOWN), f"{prefix}delta1 minus {runs[0]}, paired", "parameters \u2193",
               "multiply-adds \u2193"]  # fmt: skip
    body = [
        [run, *(_interval(result, metric) for metric in _SHOWN), row["delta1_against_first"] or "reference",
         amount(result.get("parameters")), amount(result.get("multiply_adds"))]
        for run, row, result in zip(runs, rows, results, strict=True)
    ]  # fmt: skip
    everything = Table(
        columns=["run", *map(arrowed, _ALL)],
        rows=[[run, *(_interval(result, one) for one in _ALL)] for run, result in zip(runs, results, strict=True)],
    )
    protocols = ", ".join(dict.fromkeys(str(row["protocol"]) for row in rows))
    caption = (
        f"Students' means over images [95 % interval], protocol {protocols}; \u2193 less is better, \u2191 more is."
    )
    return [
        Lead(sentences=lead), Table(columns=columns, rows=body, caption=caption),
        *standing_plot(f"{prefix}delta1", runs[0], others), Details(summary="All metrics", blocks=[everything]),
    ]  # fmt: skip


def _interval(result: Mapping[str, Any], metric: str) -> str:
    value, (low, high) = result["metrics"][metric], result["ci95"][metric]
    if value is None or low is None:
        return "-" if value is None else number(value)
    return f"{number(value)} [{number(low)}, {number(high)}]"


def _origins(
    runs: Sequence[str], rows: Sequence[Mapping[str, Any]], manifests: Sequence[Mapping[str, Any]]
) -> dict[str, object]:
    facts: dict[str, object] = {}
    for run, row, manifest in zip(runs, rows, manifests, strict=True):
        taught = "; ".join(f"{one['spec']} (licence {one.get('licence')})" for one in manifest.get("teachers", []))
        facts[run] = (
            f"{row['run']}, recipe {row['recipe']}, student {row['student']}, seed {manifest.get('seed', 0)}, "
            f"taught by {taught or 'nobody'}"
        )
    return facts
