"""Run folders as processes leave them, written by hand."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from left_behind import GONE

from kdcli import claims as claimed
from kdcli.locks import NAME
from kdcli.processes import myself

PLAN = [
    {"variant": "student", "stage": "fit", "steps": 10, "images": 4},
    {"variant": "student", "stage": "distill", "steps": 100, "images": 8},
    {"variant": "twin", "stage": "distill", "steps": 100, "images": 8},
]


def row(step: int, loss: float = 0.5, *, speed: float | None = 20.0, variant: str = "student",
        stage: str = "distill", **terms: float) -> dict[str, Any]:
    told = {f"term/{name}": value for name, value in terms.items()}
    return {"variant": variant, "stage": stage, "step": step, "loss": loss, **told, "images_per_second": speed}


def lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(one) + "\n" for one in rows)


def run_at(folder: Path, *rows: dict[str, Any], state: str = "running", owner: str | None = None, **facts: Any) -> Path:
    """Write a run. owner: ``alive`` (this process), ``gone`` or ``away`` (of another machine)."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.toml").write_text("")
    (folder / "manifest.json").write_text(json.dumps({"state": state, "recipe": "r", "plan": PLAN, **facts}))
    (folder / "metrics.jsonl").write_text(lines(*rows))
    owned(folder, owner)
    return folder


def owned(folder: Path, owner: str | None) -> None:
    """Put an owner's name into a folder, or take it away."""
    (folder / NAME).unlink(missing_ok=True)
    if owner is not None:
        (folder / NAME).write_text(json.dumps(named(owner)))


def at_work(study: Path, owner: str) -> None:
    """Put the name of a process that is at work into a study's folder."""
    claims = study / claimed.FOLDER
    claims.mkdir(exist_ok=True)
    (claims / "process-1.1").write_text(json.dumps({**claimed._record(), **named(owner)}))


def named(owner: str) -> dict[str, Any]:
    """Return who is meant by a word."""
    others: dict[str, dict[str, Any]] = {"gone": {"pid": GONE}, "away": {"host": "elsewhere", "boot": "another"}}
    return myself().document() | others.get(owner, {"pid": os.getpid()})
