"""``kdcli weights``: which weights are known, where they are, and fetching them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kdcli.cli.ui import Session, command

Name = Annotated[str, typer.Argument(help="Name in `kdcli weights list`, or a file.")]
Folder = Annotated[Path | None, typer.Option("--to", help="Folder to put the file in.", file_okay=False)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Weights of others: list, locate, pull.", no_args_is_help=True, rich_markup_mode=None)
    command(group, "list")(list_)
    command(group, "where")(where)
    command(group, "pull")(pull)
    app.add_typer(group, name="weights")


def list_(session: Session) -> None:
    """List the weights known by name, with their terms, and whether they are on this machine."""
    from dataclasses import asdict

    from kdcli.weights.table import entries, folders

    found = {
        name: next((str(f / entry.file) for f in folders() if (f / entry.file).is_file()), None)
        for name, entry in entries().items()
    }
    document = [{**asdict(entry), "address": entry.address, "path": found[name]} for name, entry in entries().items()]
    rows = [
        (name, entry.file, entry.licence, entry.training_data, found[name] or ("pull" if entry.address else entry.page))
        for name, entry in entries().items()
    ]
    columns = ("name", "file", "licence", "trained on", "where")
    session.result(document, lambda: session.table(columns, rows))


def where(session: Session, name: Name) -> None:
    """Print the path of weights; an error with where to get them when they are not here."""
    from kdcli.weights.table import locate

    path = locate(name)
    session.result({"name": name, "path": str(path)}, str(path))


def pull(session: Session, name: Name, to: Folder = None) -> None:
    """Download weights, going on where an earlier download stopped, and verify them."""
    from kdcli.files import sha256_of
    from kdcli.weights.pull import pull as fetch

    with session.progress() as bar:
        task = bar.add_task(name, total=None, note="")
        path = fetch(name, to, progress=lambda done, total: bar.update(task, completed=done, total=total))
    document = {"name": name, "path": str(path), "sha256": sha256_of(path), "size": path.stat().st_size}
    session.result(document, str(path))
