"""``kdcli card``: the model card of a run, alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kdcli.cli import kept
from kdcli.cli.ui import Session, command

Run = Annotated[Path, typer.Argument(help="Folder of a finished run.")]
Name = Annotated[str | None, typer.Option(
    "--name", metavar="hf:ORG/NAME", help="Where it will be found; the lines that run it say so. Else its file.",
)]
Out = Annotated[Path | None, typer.Option(
    "--out", metavar="FILE", help="File to write; README.md in the run by default.", dir_okay=False,
)]
NoPicture = Annotated[bool, typer.Option("--no-picture", help="Leave out the picture, which shows images of the data.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "card", device=False, seed=False, example="kdcli card runs/small")(card)


def card(session: Session, run: Run, name: Name = None, out: Out = None, no_picture: NoPicture = False) -> None:
    """Write a model card from a finished run: what it is, how good, how to run it, its limits.

    It is Markdown with the head that the hub reads, and says from which teacher the student comes, under which licence
    and what that means, by which protocol it was measured, and which command makes it again. Change it as you like and
    give it to: kdcli push RUN hf:ORG/NAME --card FILE.
    """
    import os

    from kdcli.errors import ConfigError
    from kdcli.files import write_text
    from kdcli.hub.address import parse
    from kdcli.hub.declared import STUDENT
    from kdcli.sharing.bundle import README
    from kdcli.sharing.card import card as write
    from kdcli.sharing.facts import facts_of

    address = None if name is None else parse(name)
    target = run / README if out is None else out
    if target.exists():
        raise ConfigError(f"'{target}' is there already and may have been changed; remove it, or give another --out")
    session.keeps(kept.files(target))
    facts = facts_of(run, picture=not no_picture)
    for left in facts.left_out:
        session.note(f"note: {left}")
    shown = None if facts.picture is None else Path(os.path.relpath(facts.picture, target.parent)).as_posix()
    title = run.resolve().name if address is None else address.repository.partition("/")[2]
    text = write(facts, name=title, model=STUDENT if address is None else str(address), picture=shown)
    write_text(target, text)
    session.result({"card": str(target), "run": str(run), "text": text}, str(target))
