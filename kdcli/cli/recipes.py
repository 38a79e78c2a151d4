"""``kdcli recipes``: what a run can be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kdcli.cli import complete, kept
from kdcli.cli.ui import Session, command, say

Name = Annotated[str, typer.Argument(metavar="RECIPE", help="Name of a recipe.", autocompletion=complete.recipe)]
Out = Annotated[Path | None, typer.Option("--out", metavar="FILE.toml", help="File to write; default: NAME.toml here.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Recipes: list, show, copy to edit.", no_args_is_help=True, rich_markup_mode=None)
    command(group, "list", device=False, seed=False, example="kdcli recipes list")(list_)
    command(group, "show", device=False, seed=False, example="kdcli recipes show data-free")(show)
    command(group, "copy", device=False, seed=False, example="kdcli recipes copy data-free --out mine.toml")(copy)
    app.add_typer(group, name="recipes")


def list_(session: Session) -> None:
    """List the recipes."""
    from kdcli import recipes
    from kdcli.plugins import registry
    from kdcli.recipes import auto

    rows = [(auto.NAME, "kdcli", auto.ABOUT)]
    rows += [
        (p.name, p.distribution, recipes.about(p))
        for p in registry.discover()
        if p.kind == "recipe" and not p.shadowed_by
    ]
    document = [{"name": name, "distribution": distribution, "about": about} for name, distribution, about in rows]
    session.result(document, lambda: session.table(("recipe", "from", "about"), rows))


def show(session: Session, name: Name) -> None:
    """Print a recipe; of auto, by what it chooses."""
    from kdcli.recipes import auto, read

    if name == auto.NAME:
        session.result({"name": name, "text": auto.text()}, lambda: _choices(session))
        return
    found, text = read(name)
    session.result({"name": found, "text": text}, lambda: say(text.rstrip(), whole=True))


def _choices(session: Session) -> None:
    from kdcli.cli.folding import columns, fold
    from kdcli.recipes import auto

    say("\n".join([*fold(auto.BEGIN, columns()), ""]))
    session.table(("you give", "it is"), auto.CHOICES)
    say("\n".join(["", *fold(auto.END, columns())]))


def copy(session: Session, name: Name, out: Out = None) -> None:
    """Copy a recipe to a file, to edit it and run it with 'kdcli distill --recipe FILE'."""
    from kdcli.errors import ConfigError
    from kdcli.files import write_text
    from kdcli.recipes import auto, read

    if name == auto.NAME:
        raise ConfigError("auto is no file to copy: it chooses one of the others; see: kdcli recipes show auto")
    found, text = read(name)
    path = out or Path(f"{found}.toml")
    if path.exists():
        raise ConfigError(f"'{path}' exists; choose another --out")
    session.keeps(kept.files(path))
    write_text(path, text)
    session.result(
        {"file": str(path)},
        f"wrote {path}; run it with: kdcli distill --recipe {path if path.parent.name else f'./{path}'}",
    )
