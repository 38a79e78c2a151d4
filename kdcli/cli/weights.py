"""``kdcli weights``: which weights are known, where they are, fetching them, and making safetensors of any file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kdcli.cli import kept
from kdcli.cli.ui import Session, command

if TYPE_CHECKING:
    from kdcli.weights.table import Entry

Name = Annotated[str, typer.Argument(help="Name in `kdcli weights list`, or a file.")]
Known = Annotated[str, typer.Argument(help="Name in `kdcli weights list`.")]
File = Annotated[str, typer.Argument(help="Checkpoint of any kind, or a name in `kdcli weights list`.")]
Folder = Annotated[Path | None, typer.Option("--to", help="Folder to put the file in.", file_okay=False)]
Out = Annotated[Path | None, typer.Option(
    "--out", metavar="FILE.safetensors", help="File to write; beside the checkpoint by default.",
)]
Part = Annotated[str | None, typer.Option("--part", help="Key of the network to take, where there are several.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help="Weights of others: list, locate, pull, convert.", no_args_is_help=True, rich_markup_mode=None
    )
    command(group, "list", device=False, seed=False, example="kdcli weights list")(list_)
    command(group, "where", device=False, seed=False, example="kdcli weights where adabins-nyu")(where)
    command(group, "pull", device=False, seed=False, example="kdcli weights pull adabins-nyu --to weights")(pull)
    command(
        group, "convert", device=False, seed=False, example="kdcli weights convert net.pth --out net.safetensors",
    )(convert)
    app.add_typer(group, name="weights")


def list_(session: Session) -> None:
    """List the weights known by name, with their terms, and whether they are on this machine."""
    from dataclasses import asdict

    from kdcli.weights.table import entries, find

    found = {name: str(path) if (path := find(entry)) else None for name, entry in entries().items()}
    document = [{**asdict(entry), "address": entry.address, "path": found[name]} for name, entry in entries().items()]
    rows = [
        (name, entry.file, entry.licence, entry.training_data, found[name] or _source(entry))
        for name, entry in entries().items()
    ]
    columns = ("name", "file", "licence", "trained on", "where")
    session.result(document, lambda: session.table(columns, rows))


def where(session: Session, name: Name) -> None:
    """Print the path of weights; an error with where to get them when they are not here."""
    from kdcli.weights.table import locate

    path = locate(name)
    session.result({"name": name, "path": str(path)}, str(path))


def pull(session: Session, name: Known, to: Folder = None) -> None:
    """Download weights, going on where an earlier download stopped, and verify them.

    Their licence is shown first. A hash is verified where the table has one.
    """
    from kdcli.files import sha256_of
    from kdcli.weights.pull import kept_of
    from kdcli.weights.pull import pull as fetch
    from kdcli.weights.table import entry

    wanted = entry(name)
    session.note(f"{name}: licence {wanted.licence}; trained on {wanted.training_data}")
    session.keeps(kept.going_on(lambda: kept_of(wanted, to)))
    with session.progress() as bar:
        task = bar.add_task(name, total=None, note="")
        path = fetch(wanted, to, progress=lambda done, total: bar.update(task, completed=done, total=total))
    session.keeps(lambda: f"{path} was written whole")
    document = {
        "name": name, "path": str(path), "sha256": sha256_of(path), "size": path.stat().st_size,
        "verified": wanted.sha256 is not None, "licence": wanted.licence, "training_data": wanted.training_data,
    }
    session.result(document, str(path))


def convert(session: Session, file: File, out: Out = None, part: Part = None) -> None:
    """Bring a checkpoint to safetensors; Python objects in it are neither made nor run.

    Files that pickle a whole network are read with stand-ins for its classes, so that only tensors come out. What the
    file says it is goes into the new one: its name and hash, and its terms where the name is known.
    """
    from dataclasses import asdict

    from kdcli.weights.convert import beside
    from kdcli.weights.convert import convert as make
    from kdcli.weights.table import locate

    source = locate(file, released=True)
    session.keeps(kept.files(beside(source) if out is None else out))
    made = make(source, out, part)
    if made.taken:
        rest = f"; left: {', '.join(made.left)}" if made.left else ""
        session.note(f"taken from '{made.source}': {made.taken}{rest}")
    if made.choices:
        session.note(f"it holds several networks: --part {' or --part '.join(made.choices)} takes another")
    if made.prefix:
        session.note(f"'{made.prefix}' stood before every name and was taken off")
    if made.not_finite:
        session.note(f"warning: {made.not_finite:,} numbers are not finite, the first of them in {made.not_finite_in}")
    session.result(
        asdict(made),
        f"{made.path}: {made.tensors} tensors, {made.parameters:,} parameters, sha256 {made.sha256}",
    )


def _source(entry: Entry) -> str | None:
    """Say in a word or two how a file that is not here can be had."""
    if entry.train is not None:
        return "not released"
    return "pull" if entry.address else entry.page
