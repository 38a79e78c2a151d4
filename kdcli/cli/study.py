"""``kdcli study``: a grid of recipes, image counts and seeds, and one table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from kdcli.cli import complete, kept
from kdcli.cli.ui import Session, command, say
from kdcli.text import counted

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
Search = Annotated[bool, typer.Option(
    "--search", help="Search the ranges of the study's variables: few steps for many settings, more for the best.",
)]
Trials = Annotated[int | None, typer.Option(
    help="Settings that a search tries, the file's own among them. Default: 9.",
)]
Reduction = Annotated[int | None, typer.Option(
    help="Of a rung's settings 1 in N goes on, with N times the steps. Default: 3.",
)]
Rungs = Annotated[int | None, typer.Option(help="Rungs before the table. Default: until one setting is left.")]
Ranges = Annotated[list[str] | None, typer.Option(
    "--range", metavar="NAME=RANGE",
    help="What a search draws from: lr=1e-4..3e-2,log or loss=l1|silog, of a variable or a key of recipes; repeat.",
)]
SearchData = Annotated[str | None, typer.Option(
    "--search-data", metavar="SPEC", help="Images that a search compares settings on, none of the table's.",
)]
Draws = Annotated[str | None, typer.Option(
    metavar="sobol|tpe",
    help="How settings are drawn: evenly, or by what earlier ones came to (optuna). Default: sobol.",
)]


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "study", example=(
        "kdcli study data-free-mini --dry-run", "kdcli study data-free-mini --only noise,data-free --seeds 0,1,2",
        "kdcli study mine.toml --search --range lr=1e-3..1e-1,log --trials 9",
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
    search: Search = False,
    range_: Ranges = None,
    search_data: SearchData = None,
    trials: Trials = None,
    reduction: Reduction = None,
    rungs: Rungs = None,
    draws: Draws = None,
) -> None:
    """Run a grid of recipes, image counts and seeds, and compare them in one table.

    Run it again with the same --out to go on, or to see the table. --seed draws the bootstrap's resamples, and the
    settings of a search.
    """
    from kdcli.config import RunConfig
    from kdcli.config.values import convert
    from kdcli.study import plan, read
    from kdcli.study.grid import with_loggers

    path, text = read(name)
    arms = [arm for several in only or () for arm in several.split(",")]
    loggers = convert("loggers", logger, RunConfig, "--logger") if logger else None
    options = {"trials": trials, "reduction": reduction, "rungs": rungs, "data": search_data, "draws": draws}
    if search:
        from kdcli.cli.study_search import search as run
        from kdcli.study.search import ask

        asked = ask(text, source=path, settings=set_ or (), only=arms, seeds=_numbers(seeds), ranges=range_ or (),
                    options=options, seed=session.seed, loggers=loggers)  # fmt: skip
        run(session, asked, out or Path("studies", f"{asked.name}-search"), jobs=jobs, dry_run=dry_run)
        return
    _refuse_without_search(options | {"range": range_})
    planned = plan(text, source=path, settings=set_ or (), only=arms, seeds=_numbers(seeds))
    if loggers is not None:
        planned = with_loggers(planned, loggers)
    folder = out or Path("studies", planned.name)
    if dry_run:
        _expected(session, planned, folder)
        return
    from kdcli.cli.show import TrainingProgress
    from kdcli.cli.study_table import tell
    from kdcli.study.run import run_study

    session.keeps(kept.going_on(lambda: folder))
    with TrainingProgress(session, bars=jobs) as progress:
        outcome = run_study(planned, folder, device=session.device, progress=progress, processes=jobs)
    tell(session, planned, folder, outcome)


def _expected(session: Session, planned: Any, folder: Path) -> None:
    from kdcli.study.estimate import expect

    rows = expect(planned, folder, session.device)
    total = sum(row.seconds for row in rows if row.seconds is not None)
    document = {"study": planned.name, "out": str(folder), "cells": [row.document() for row in rows],
                "seconds": round(total, 1)}  # fmt: skip

    from kdcli.watching.drawing import duration

    def human() -> None:
        shown = [
            (r.title, r.state, "" if r.seconds is None else f"{r.seconds / 60:.1f} min",
             "" if r.teacher_images is None else f"{r.teacher_images:,} images", folder / r.run)
            for r in rows
        ]  # fmt: skip
        session.table(("cell", "state", "steps take", "teachers see", "run"), shown)
        say(
            f"\n{counted(len(rows), 'run')}, about {duration(total)} for the steps of the students; fitting, rendering "
            "and evaluation come on top"
        )

    session.result(document, human)


def _refuse_without_search(options: Mapping[str, Any]) -> None:
    from kdcli.errors import ConfigError

    for name, value in options.items():
        if value is not None:
            flag = "--search-data" if name == "data" else f"--{name}"
            raise ConfigError(f"{flag} is of a search; add --search, or leave it out")


def _numbers(text: str | None) -> list[int] | None:
    from kdcli.errors import ConfigError

    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"--seeds '{text}' are not whole numbers; write for example --seeds 0,1,2") from None
