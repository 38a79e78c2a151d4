"""``kdcli doctor``: is this machine fit for the work?"""

from __future__ import annotations

from pathlib import Path

import typer

from kdcli.cli.ui import Session, command
from kdcli.errors import KdcliError


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "doctor", device=False, seed=False, example="kdcli doctor")(doctor)


def doctor(session: Session) -> None:
    """Examine this machine: versions, devices, memory, disk, cache, plugins. Fails only where nothing would run."""
    from kdcli.doctor import broken, examine

    findings = examine(Path.cwd())
    rows = [(f.status, f.name, f.value, f.hint) for f in findings]
    session.result(
        [finding.row() for finding in findings], lambda: session.table(("status", "what", "found", "to do"), rows)
    )
    bad = broken(findings)
    if bad:
        names = ", ".join(finding.name for finding in bad)
        raise KdcliError(f"{len(bad)} essential parts are broken: {names}; do what the last column says")
