"""A study's table, written and printed: the end of ``kdcli study``, with ``--search`` too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdcli.cli.ui import Session, say

if TYPE_CHECKING:
    from kdcli.study import Study
    from kdcli.study.run import Outcome


def tell(
    session: Session, planned: Study, folder: Path, outcome: Outcome, *,
    before: Callable[[], None] | None = None, after: Callable[[], None] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> None:  # fmt: skip
    """Write and print a study's table. before, after: print what stands around it. extra: of the JSON document.

    Raises:
        TrainingError: runs failed; the table is there all the same.
    """
    from kdcli.errors import TrainingError
    from kdcli.study.report import contrast_rows, main_rows, notes, write_reports
    from kdcli.study.run import alone_with_tables
    from kdcli.study.table import tabulate

    with alone_with_tables(planned, folder):
        table = tabulate(planned, folder, seed=session.seed)
        files = write_reports(planned, table, folder, outcome.failed)

    def human() -> None:
        if before is not None:
            before()
        session.table(*main_rows(table), title=f"{table.study}: {table.eval_data}")
        if table.contrasts:
            say()
            session.table(*contrast_rows(table))
        for note in notes(table, outcome.failed):
            say(f"\n{note}")
        others = f", others ran {outcome.elsewhere}" if outcome.elsewhere else ""
        say(f"\nran {outcome.ran}, kept {outcome.kept}{others}; {folder}/{', '.join(files)}")
        if after is not None:
            after()

    document = {**table.document(), "out": str(folder), "ran": outcome.ran, "kept": outcome.kept,
                "elsewhere": outcome.elsewhere, "failed": list(outcome.failed), **(extra or {})}  # fmt: skip
    session.result(document, human)
    if outcome.failed:
        raise TrainingError(f"{len(outcome.failed)} of the runs failed, the first: {outcome.failed[0]}")
