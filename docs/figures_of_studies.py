"""What tables and plots of several studies share: their rows by place and arm, numbers with intervals, tails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

METRIC = "delta1"
Rows = dict[str, dict[str, Any]]
"""Rows of a study by arm."""
COLOURS = ("#2563eb", "#d97706")
"""Of places, in their order."""


def drawing() -> Any:
    """Return matplotlib's pyplot, set up so that the same figure is the same file."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "kdcli", "svg.fonttype": "none", "font.family": "sans-serif"})
    from matplotlib import pyplot

    return pyplot


def kept(results: Path, places: dict[str, str]) -> list[str]:
    """Return the result files that there are."""
    return [name for name in places if (results / f"{name}.json").is_file()]


def studies(results: Path, places: dict[str, str]) -> dict[str, Rows]:
    """Return the rows of each study that is kept, by the name of the place and the arm."""
    documents = {places[name]: json.loads((results / f"{name}.json").read_text()) for name in kept(results, places)}
    return {place: {row["arm"]: row for row in document["study"]["rows"]} for place, document in documents.items()}


def arms(found: dict[str, Rows]) -> list[str]:
    """Return the arms of all studies, each once."""
    return list(dict.fromkeys(arm for rows in found.values() for arm in rows))


def number(value: dict[str, float], sign: str = "") -> str:
    """Return a number with its interval."""
    return f"{value['value']:{sign}.3f} [{value['low']:{sign}.3f}, {value['high']:{sign}.3f}]"


def gain(row: dict[str, Any]) -> str:
    """Return the difference from the reference; bold where it is clear of zero."""
    if row["against"] is None:
        return ""
    found = row["against"]["difference"][METRIC]
    told = number(found, "+")
    return f"**{told}**" if found["low"] > 0 or found["high"] < 0 else told


def tail(results: Path, name: str, place: str) -> str:
    """Return what a study was measured on and with, its teachers and contrasts."""
    report = json.loads((results / f"{name}.json").read_text())["study"]
    seeds = sorted({len(row["seeds"]) for row in report["rows"]})
    told = f"{place.capitalize()}: `{report['eval_data']}`, "
    told += f"{seeds[0] if len(seeds) == 1 else f'{seeds[0]} to {seeds[-1]}'} seeds, "
    teachers = [f"`{one['spec']}` {number(one['metrics'][METRIC])}" for one in report["teachers"]]
    told += f"teacher {', '.join(dict.fromkeys(teachers))}. " if teachers else ""
    pairs = [f"`{pair['first']}` minus `{pair['second']}` {gain({'against': pair})}" for pair in report["contrasts"]]
    told += f"Beside others: {', '.join(pairs)}. " if pairs else ""
    missing = f" Not run: {', '.join(map(str, report['missing']))}." if report["missing"] else ""
    values = [f"{key} {value}" for key, value in report["variables"].items()]
    return f"{told}Settings: {', '.join(values)}; torch {report['versions']['torch']}.{missing}"
