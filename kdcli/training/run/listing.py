"""The runs below a folder, a row each: read from their manifests, with nothing of what trains them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kdcli.drafts import is_draft
from kdcli.errors import DataError
from kdcli.training.run.manifest import read_manifest
from kdcli.watching.state import state_of


def list_runs(folder: Path) -> list[dict[str, Any]]:
    """Return one row per run below a folder, newest first; one that cannot be read has the state ``damaged``."""
    rows: list[dict[str, Any]] = []
    for manifest in sorted(folder.glob("*/manifest.json"), reverse=True):
        run = manifest.parent
        if is_draft(run.name):
            continue
        try:
            facts = read_manifest(manifest)
        except DataError as error:
            rows.append({"run": str(run), "state": "damaged", "error": str(error), "resume": None, "recipe": None,
                         "student": None, "teacher": None, "delta1": {}, "fidelity_delta1": {}})  # fmt: skip
            continue
        how = state_of(run, facts)
        faithful = facts.get("fidelity", {}).get("teacher", {})
        rows.append(
            {
                "run": str(run),
                "state": how.state,
                "resume": how.resume,
                "recipe": facts.get("recipe"),
                "student": facts.get("student"),
                "teacher": ", ".join(t["spec"] for t in facts.get("teachers", [])),
                "delta1": {name: row["metrics"].get("delta1") for name, row in facts.get("eval", {}).items()},
                "fidelity_delta1": {name: row["metrics"].get("delta1") for name, row in faithful.items()},
            }
        )
    return rows
