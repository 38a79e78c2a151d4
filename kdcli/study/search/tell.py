"""A search as it is shown: every setting with the number by which it was chosen, and how the table is to be read."""

from __future__ import annotations

import shlex
from pathlib import Path

from kdcli.study.grid import Study
from kdcli.study.report import Rows, directed
from kdcli.study.search.plan import DEFAULT, Search, Trial
from kdcli.study.search.record import Record


def trial_rows(search: Search, record: Record) -> Rows:
    """Return one row a setting, those that came farthest first, with its number at the last budget that it had."""
    found: dict[str, tuple[str, str]] = {}
    for decision in reversed(record.decisions):
        for name, score in decision.scores:
            found.setdefault(name, (f"{decision.budget}", "failed" if score is None else f"{score:.4f}"))
    known = {trial.name: trial for trial in record.trials}
    rows = [
        [name, *(_text(search, known[name], key) for key in search.spaces), *found.get(name, ("-", "-"))]
        for name in dict.fromkeys([*found, *known])
    ]
    return ["setting", *search.spaces, search.unit, directed(search.metric)], rows


def chosen(search: Search, best: Trial, left: int) -> str:
    """Return how the settings of the table were chosen, and what its numbers are therefore worth."""
    told = (
        f"{best.name} ({best.label}) is the best of {search.trials} settings by {search.metric} on {search.data}, at "
        f"{search.rungs[-1].budget} {search.unit}"
    )
    told += ": no setting drawn was better than the file's own values." if best.name == DEFAULT else (
        f". Images and seeds of this table had no part in that, so that its numbers for {best.name} are not too good "
        "for having been chosen."
    )
    if left > 1:
        told += (" Arms are in the order of the search. Whoever picks another of them by this table picks by the "
                 "images that it is measured on, and that one's numbers are then too good.")
    return told


def training_command(study: Study, best: Trial, out: Path) -> str:
    """Return the command that trains with the best setting."""
    run = next(cell.folder for cell in study.cells if cell.arm == best.name)
    return shlex.join(["kdcli", "distill", "--recipe", str(out / run / "config.toml")])


def _text(search: Search, trial: Trial, name: str) -> str:
    return "as in the recipe" if trial.name == DEFAULT and name in search.keys else f"{trial.values[name]}"
