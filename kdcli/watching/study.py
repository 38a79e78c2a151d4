"""A study, looked at again and again: one row a cell."""

from __future__ import annotations

import contextlib
import shlex
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdcli.claims import FOLDER, Claims
from kdcli.documents import read_json
from kdcli.errors import DataError
from kdcli.watching.drawing import BARS, duration, sparkline
from kdcli.watching.look import RunLook, headline

_SHAPE = {"name": str, "argv?": [str], "cells": [{"arm": str, "count": (int, None), "seed": int, "run": str}]}
_AGAIN = "the study is damaged: run it again with the same --out"


def is_study(folder: Path) -> bool:
    """Whether a folder is a study's."""
    return (folder / "study.json").is_file()


@dataclass(kw_only=True)
class StudyLook:
    """A study's folder as it is seen from another process.

    Raises:
        DataError: its file is damaged.
    """

    folder: Path

    def __post_init__(self) -> None:
        """Look for the first time."""
        self._runs: dict[str, RunLook] = {}
        self._claims = Claims(self.folder / FOLDER)
        self.again()

    def again(self) -> None:
        """Look again: cells that have begun since are there."""
        self._study: dict[str, Any] = read_json(self.folder / "study.json", _SHAPE, _AGAIN)
        for run in self._folders():
            with contextlib.suppress(DataError):  # it has not begun, or is just being made
                if run in self._runs and not self._runs[run].ended:
                    self._runs[run].again()
                elif run not in self._runs or self._runs[run].state.state != "finished":
                    self._runs[run] = RunLook(folder=self.folder / run)

    @property
    def ended(self) -> bool:
        """Whether nobody is at work on it."""
        return not self._claims.at_work()

    def document(self) -> dict[str, Any]:
        """Return the study's state and a row a cell, as JSON."""
        rows = [self._row(run, cells) for run, cells in self._folders().items()]
        counts = Counter(row["state"] for row in rows)
        done = counts["finished"] == len(rows)
        argv = self._study.get("argv", [])
        by_command = len(argv) > 1 and argv[1] == "study"
        again = f"kdcli {shlex.join(argv[1:])}" if by_command else None
        return {
            "study": self._study["name"],
            "out": str(self.folder),
            "state": "finished" if done else "stopped" if self.ended else "running",
            "resume": again if self.ended and not done else None,
            "counts": dict(counts),
            "cells": rows,
        }

    def lines(self, letters: str = BARS) -> list[str]:
        """Return the same for people."""
        seen = self.document()
        counts = ", ".join(f"{count} {state}" for state, count in sorted(seen["counts"].items()))
        told = [f"{seen['out']}: study {seen['study']} {seen['state']}, {counts}"]
        wide = max((len(row["cell"]) for row in seen["cells"]), default=0)
        for row in seen["cells"]:
            told.append(f"  {row['cell']:<{wide}}  {_cell(row, letters)}".rstrip())
            told += [f"  {'':<{wide}}  {row['message']}"] if row["message"] else []
        if seen["resume"]:
            told.append(f"  go on with: {seen['resume']}")
        elif seen["state"] == "stopped":
            told.append("  go on with the call that began it")
        return told

    def _folders(self) -> dict[str, list[str]]:
        """Return the run folders with the cells that each is the run of."""
        found: dict[str, list[str]] = {}
        for cell in self._study["cells"]:
            arm = cell["arm"] if cell["count"] is None else f"{cell['arm']}@{cell['count']}"
            found.setdefault(cell["run"], []).append(f"{arm} seed {cell['seed']}")
        return found

    def _row(self, run: str, cells: list[str]) -> dict[str, Any]:
        look = self._runs.get(run)
        if look is None:
            return {"cell": ", ".join(cells), "run": str(self.folder / run), "state": "waiting", "message": None}
        return {"cell": ", ".join(cells), **look.document(), "resume": None}


def _cell(row: dict[str, Any], letters: str) -> str:
    if row["state"] == "waiting":
        return "waiting"
    told = headline(row)
    if row["step"] is not None:
        told += f"  loss {row['loss']:.4g}  {sparkline(row['losses'], 12, letters)}"
    if row.get("seconds_left") is not None:
        told += f"  about {duration(row['seconds_left'])} left"
    return told
