"""``kdcli runs``: what was done."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from kdcli.cli import kept
from kdcli.cli.ui import Session, command
from kdcli.cli.watch import watch

Folder = Annotated[Path, typer.Option("--folder", help="Where runs are.")]
Run = Annotated[Path, typer.Argument(help="Run folder.")]
Plot = Annotated[Path | None, typer.Option("--plot", help="Picture of losses and delta1 to draw.")]
Page = Annotated[Path | None, typer.Option("--report", help="HTML file to write the comparison to.", dir_okay=False)]
Several = Annotated[list[Path], typer.Argument(help="Run folders.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Runs: list, watch, show, compare.", no_args_is_help=True, rich_markup_mode=None)
    command(group, "list", device=False, seed=False, example="kdcli runs list --folder runs")(list_)
    command(group, "watch", device=False, seed=False, example="kdcli runs watch runs/photos")(watch)
    command(group, "show", device=False, seed=False, example="kdcli runs show runs/photos")(show)
    command(group, "compare", device=False, seed=False, example="kdcli runs compare runs/first runs/second")(compare)
    app.add_typer(group, name="runs")


def list_(session: Session, folder: Folder = Path("runs")) -> None:
    """List the runs below a folder, newest first: state, results, and the command that goes on where there is one."""
    from kdcli.training.run.listing import list_runs

    found = list_runs(folder)
    measured = ("delta1", *(["fidelity_delta1"] if any(r["fidelity_delta1"] for r in found) else []))
    open_ones = ("go on with",) if any(r["resume"] for r in found) else ()
    columns = ("run", "state", "recipe", "student", *(key.replace("_", " ") for key in measured), *open_ones)
    rows = [
        (
            r["run"], r["state"], r["recipe"], r["student"],
            *(", ".join(f"{k} {v:.3f}" for k, v in r[key].items() if v is not None) for key in measured),
            *(r["resume"] for _ in open_ones),
        )
        for r in found
    ]  # fmt: skip
    for run in found:
        if "error" in run:
            session.note(f"note: {run['error']}")
    if not found:
        missing = "" if folder.is_dir() else ", which is no folder"
        session.note(f"no run below '{folder}'{missing}; kdcli distill makes one")
    session.result(found, lambda: session.table(columns, rows) if rows else None)


def show(session: Session, run: Run) -> None:
    """Show a run: its state, teachers, stages, results, and the recipe that repeats it."""
    from kdcli.errors import ConfigError
    from kdcli.training.run.finish import labels_of, stage_rows
    from kdcli.training.run.folder import RunFolder

    opened = RunFolder.open(run)
    manifest = opened.manifest()
    text = opened.text()
    rows = [(key, _short(value)) for key, value in manifest.items() if not isinstance(value, dict | list)]
    rows += [
        (f"teacher {t['spec']}", f"{t.get('licence')}, sha256 {t.get('sha256')}") for t in manifest.get("teachers", [])
    ]
    try:
        config = opened.config()
        labels = labels_of(config)
        rows += [(f"stage {row.pop('stage')}", _told(row)) for row in stage_rows(config, opened)]
    except ConfigError as error:  # a damaged recipe hides no results
        labels = {}
        session.note(f"note: {error}")
    rows += [
        (f"delta1 {labels.get(role, role)}", _number(r["metrics"], "delta1"))
        for role, r in manifest.get("eval", {}).items()
    ]
    for teacher, results in manifest.get("fidelity", {}).items():
        to = f"to the {labels.get(teacher, teacher)}"
        rows += [
            (f"fidelity delta1 {labels.get(role, role)}, {to}", _number(r["metrics"], "delta1"))
            for role, r in results.items()
        ]
    if "holdout" in manifest:
        held = manifest["holdout"]
        rows.append(("held out", f"{held['held_out']} of {held['images']} images, {held['rule']}"))
    rows.append(("to repeat it", f"kdcli distill --recipe {shlex.quote(str(run / 'config.toml'))}"))
    session.result({**manifest, "config": text}, lambda: session.table(("key", "value"), rows, title=str(run)))


def _short(value: object) -> object:
    return f"{value:.1f}" if isinstance(value, float) else value


def _told(row: dict[str, str]) -> str:
    return ", ".join(f"{key} {value}" for key, value in row.items())


def _number(metrics: dict[str, float | None], name: str) -> str:
    """Return a metric as text; empty where nothing was measured."""
    value = metrics.get(name)
    return "" if value is None else f"{value:.4f}"


def compare(session: Session, runs: Several, plot: Plot = None, report: Page = None) -> None:
    """Compare the students of several runs, image by image where they were measured on the same ones.

    Accuracy and fidelity to the teacher are two tables.
    """
    from kdcli.cli.drawn import require_figure
    from kdcli.files import require_writable
    from kdcli.training.run.compare import compare_runs, plot_runs, report_runs

    if report is not None:
        require_writable(report)
    require_figure("--plot", plot)
    session.keeps(kept.files(plot, report))
    document = compare_runs(runs)
    if plot is not None:
        plot_runs(runs, plot)
    if report is not None:
        report_runs(runs, document, report)
        session.note(f"wrote {report}")

    def human() -> None:
        if "metrics" in document[0]:
            columns, rows = _compared(document, "")
            session.table(columns, rows)
        if all("fidelity" in row for row in document):
            known = [{**row, **row["fidelity"]} for row in document]
            columns, rows = _compared(known, "fidelity ")
            session.table(columns, rows, title="fidelity to the teacher (not accuracy), on held-out images")

    session.result(document, human)


def _compared(document: list[dict[str, Any]], prefix: str) -> tuple[list[str], list[list[str]]]:
    """Return columns and rows of runs that were measured; the prefix begins the names of the metrics."""
    shown = ("delta1", "abs_rel", "rmse")
    rows = [
        [
            r["run"], r["recipe"], r["student"], r["protocol"], *(_number(r["metrics"], m) for m in shown),
            r["delta1_against_first"],
        ]
        for r in document
    ]  # fmt: skip
    named = [f"{prefix}{metric}" for metric in shown]
    return ["run", "recipe", "student", "protocol", *named, f"{prefix}delta1 minus the first, paired"], rows
