"""What a search has decided, in ``OUT/search.json``: who goes on with it keeps to that.

A decision is written down once, by whichever process made it. Settings that failed are thus not tried again when the
search goes on; without the file everything is decided anew, by the runs that are there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kdcli.documents import Each, read_json
from kdcli.files import write_json
from kdcli.study.run import alone
from kdcli.study.search.plan import Search, Trial

FILE = "search.json"
_SHAPE = {
    "asked": Each(Any),
    "trials": [{"name": str, "values": Each(Any), "shares": [float]}],
    "rungs": [{"rung": int, "budget": int, "scores": [[str, (float, None)]], "kept": [str],
               "failed": [str]}],
}
_AGAIN = "remove it, and everything is decided anew by the runs that are there"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a rung came to."""

    rung: int
    budget: int
    scores: tuple[tuple[str, float | None], ...]
    """Settings, the best first, with their numbers on the images of the search; None where a run failed."""
    kept: tuple[str, ...]
    """The first of them, which go on."""
    failed: tuple[str, ...]
    """Title and reason of the runs that failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """All that was decided so far."""

    trials: tuple[Trial, ...]
    decisions: tuple[Decision, ...] = ()

    def document(self, search: Search) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "asked": search.asked,
            "trials": [asdict(trial) for trial in self.trials],
            "rungs": [asdict(decision) for decision in self.decisions],
        }


def read(search: Search, out: Path) -> Record:
    """Return what was decided in folder ``out`` by a search of the same; nothing where another one was there.

    Raises:
        DataError: the file is damaged.
    """
    path = out / FILE
    if not path.exists():
        return Record(trials=search.first)
    document = read_json(path, _SHAPE, _AGAIN)
    if document["asked"] != json.loads(json.dumps(search.asked)):
        return Record(trials=search.first)
    return Record(
        trials=tuple(Trial(**(row | {"shares": tuple(row["shares"])})) for row in document["trials"]),
        decisions=tuple(
            Decision(
                rung=row["rung"], budget=row["budget"], kept=tuple(row["kept"]), failed=tuple(row["failed"]),
                scores=tuple((name, score) for name, score in row["scores"]),
            )
            for row in document["rungs"]
        ),
    )


def add(search: Search, out: Path, *, decision: Decision | None = None, trials: Sequence[Trial] = ()) -> Record:
    """Write down a decision on the next rung, or further trials, unless another process has; return what holds."""
    with alone(out, "search"):
        held = read(search, out)
        if decision is not None and len(held.decisions) < decision.rung:
            held = Record(trials=held.trials, decisions=(*held.decisions, decision))
        known = {trial.name for trial in held.trials}
        more = tuple(trial for trial in trials if trial.name not in known)
        held = Record(trials=(*held.trials, *more), decisions=held.decisions)
        write_json(out / FILE, held.document(search))
    return held
