"""``kdcli study``: a grid of recipes, image counts and seeds, and one table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kdcli.cli import complete, kept
from kdcli.cli.ui import Session, command, say

Name = Annotated[
    str,
    typer.Argument(
        metavar="STUDY", help="Study: an installed one by name (kdcli plugins list --kind study), or a TOML file.",
        autocompletion=complete.study,
    ),
]
Out = Annotated[Path | None, typer.Option(
    metavar="DIR", help="Folder of the study, made or gone on with; default: studies/NAME.",
)]
Only = Annotated[list[str] | None, typer.Option("--only", help="Arms to run, with commas or repeated. Default: all.")]
Seeds = Annotated[str | None, typer.Option(help="Seeds in place of the study's, for example 0,1,2.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="NAME=VALUE of a variable of the study; repeat for several.")
]
Jobs = Annotated[
    int, typer.Option("--jobs", min=1, help="Runs at a time, in processes that share the CPU, each on one of the GPUs.")
]
Loggers = Annotated[list[str] | None, typer.Option(
    "--logger", help="Logger SPEC of every run; repeat for several. none: no logger.", autocompletion=complete.logger,
)]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="List the runs, do one real step of each kind, write nothing.")
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "study", example=(
        "kdcli study data-free-mini --dry-run", "kdcli study data-free-mini --only noise,data-free --seeds 0,1,2",
    ))(study)


def study(
    session: Session,
    name: Name,
    out: Out = None,
    only: Only = None,
    seeds: Seeds = None,
    set_: Set = None,
    jobs: Jobs = 1,
    logger: Loggers = None,
    dry_run: DryRun = False,
) -> None:
    """Run a grid of recipes, image counts and seeds, and compare them in one table.

    Run it again with the same --out to go on, or to see the table. --seed draws the bootstrap's resamples.
    """
    from kdcli.config import RunConfig
    from kdcli.config.values import convert
    from kdcli.study import plan, read
    from kdcli.study.grid import with_loggers

    path, text = read(name)
    arms = [arm for several in only or () for arm in several.split(",")]
    planned = plan(text, source=path, settings=set_ or (), only=arms, seeds=_numbers(seeds))
    if logger:
        planned = with_loggers(planned, convert("loggers", logger, RunConfig, "--logger"))
    folder = out or Path("studies", planned.name)
    if dry_run:
        _expected(session, planned, folder)
        return
    from kdcli.cli.show import TrainingProgress
    from kdcli.errors import TrainingError
    from kdcli.study.report import contrast_rows, main_rows, notes, write_reports
    from kdcli.study.run import alone_with_tables, run_study
    from kdcli.study.table import tabulate

    session.keeps(kept.going_on(lambda: folder))
    with TrainingProgress(session, bars=jobs) as progress:
        outcome = run_study(planned, folder, device=session.device, progress=progress, processes=jobs)
    with alone_with_tables(planned, folder):
        table = tabulate(planned, folder, seed=session.seed)
        files = write_reports(planned, table, folder, outcome.failed)

    def human() -> None:
        session.table(*main_rows(table), title=f"{table.study}: {table.eval_data}")
        if table.contrasts:
            say()
            session.table(*contrast_rows(table))
        for note in notes(table, outcome.failed):
            say(f"\n{note}")
        others = f", others ran {outcome.elsewhere}" if outcome.elsewhere else ""
        say(f"\nran {outcome.ran}, kept {outcome.kept}{others}; {folder}/{', '.join(files)}")

    document = {**table.document(), "out": str(folder), "ran": outcome.ran, "kept": outcome.kept,
                "elsewhere": outcome.elsewhere, "failed": list(outcome.failed)}  # fmt: skip
    session.result(document, human)
    if outcome.failed:
        raise TrainingError(f"{len(outcome.failed)} of the runs failed, the first: {outcome.failed[0]}")


def _expected(session: Session, planned: Any, folder: Path) -> None:
    from kdcli.study.estimate import expect

    rows = expect(planned, folder, session.device)
    total = sum(row.seconds for row in rows if row.seconds is not None)
    document = {"study": planned.name, "out": str(folder), "cells": [row.document() for row in rows],
                "seconds": round(total, 1)}  # fmt: skip

    def human() -> None:
        shown = [
            (r.title, r.state, "" if r.seconds is None else f"{r.seconds / 60:.1f} min",
             "" if r.teacher_images is None else f"{r.teacher_images:,} images", folder / r.run)
            for r in rows
        ]  # fmt: skip
        session.table(("cell", "state", "steps take", "teachers see", "run"), shown)
        say(
            f"\n{len(rows)} runs, about {total / 60:.0f} min for the steps of the students; fitting, rendering and "
            "evaluation come on top"
        )

    session.result(document, human)


def _numbers(text: str | None) -> list[int] | None:
    from kdcli.errors import ConfigError

    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"--seeds '{text}' are not whole numbers; write for example --seeds 0,1,2") from None
