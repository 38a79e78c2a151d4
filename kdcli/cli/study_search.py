"""``kdcli study --search``: settings drawn from ranges, halved rung by rung, and the table of those that are left."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdcli.cli import kept
from kdcli.cli.ui import Session, say

if TYPE_CHECKING:
    from kdcli.study.search import Search


def search(session: Session, asked: Search, folder: Path, *, jobs: int, dry_run: bool) -> None:
    """Run a search, or with ``dry_run`` tell what it will take."""
    if dry_run:
        _expected(session, asked, folder)
        return
    from kdcli.cli.show import TrainingProgress
    from kdcli.cli.study_table import tell
    from kdcli.study.search.halve import run_search
    from kdcli.study.search.tell import training_command, trial_rows

    session.keeps(kept.going_on(lambda: folder))
    with TrainingProgress(session, bars=jobs) as progress:
        found = run_search(asked, folder, device=session.device, progress=progress, processes=jobs)
    command = training_command(found.study, found.best, folder)
    document = {**found.record.document(asked), "best": found.best.name, "values": dict(found.best.values),
                "command": command}  # fmt: skip

    def before() -> None:
        title = f"{asked.name}: {asked.trials} settings, compared on {asked.data}"
        session.table(*trial_rows(asked, found.record), title=title)
        say()

    def after() -> None:
        say(f"\n{found.study.about}\n\nTrain with {found.best.name} ({found.best.label}):\n  {command}")

    tell(session, found.study, folder, found.outcome, before=before, after=after, extra={"search": document})


def _expected(session: Session, asked: Search, folder: Path) -> None:
    from kdcli.study.search.expect import expect
    from kdcli.study.search.record import read
    from kdcli.study.search.tell import trial_rows

    rows = expect(asked, folder, session.device)
    left = [row for row in rows if not row.decided]
    steps, seconds = sum(row.total for row in left), sum(row.seconds for row in left)
    record = read(asked, folder)
    document: dict[str, Any] = {
        "study": asked.name, "out": str(folder), **record.document(asked), "rows": [row.document() for row in rows],
        "unit": asked.unit, "total": steps, "seconds": round(seconds, 1),
    }  # fmt: skip

    def human() -> None:
        columns, settings = trial_rows(asked, record)
        session.table(columns[:-2], [row[:-2] for row in settings], title=f"{asked.name}: settings")
        say()
        shown = [
            (row.title, row.settings, row.seeds, f"{row.budget:,}", f"{row.total:,}",
             "decided" if row.decided else f"{row.seconds / 60:.1f} min")
            for row in rows
        ]  # fmt: skip
        session.table(("", "settings", "seeds", f"{asked.unit} each", "in all", "steps take"), shown)
        more = "" if len(record.trials) == asked.trials else (
            f"; {asked.trials - len(record.trials)} more settings are drawn when those above have ended"
        )
        say(
            f"\n{steps:,} {asked.unit} in all, about {seconds / 60:.0f} min for the steps of the students as the first "
            f"setting takes; fitting, rendering and evaluation come on top{more}"
        )

    session.result(document, human)
