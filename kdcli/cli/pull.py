"""``kdcli pull``: a student from the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kdcli.cli import kept
from kdcli.cli.ui import Session, command
from kdcli.text import counted

From = Annotated[str, typer.Argument(metavar="hf:ORG/NAME", help="Repository, or hf:ORG/NAME@REVISION.")]
Out = Annotated[Path | None, typer.Option(
    "--out", metavar="DIR", help="Folder to make of it; else it stays in the hub's cache.", file_okay=False,
)]
Revision = Annotated[str | None, typer.Option(
    "--revision", metavar="REVISION", help="Branch, tag or commit; main by default.",
)]


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "pull", device=False, seed=False, example="kdcli pull hf:ORG/NAME --out small")(pull)


def pull(session: Session, address: From, out: Out = None, revision: Revision = None) -> None:
    """Fetch a student from the hub, each file checked, into the hub's cache or a folder.

    Only safetensors and the files that the student declares are taken, with their sizes and sha256. Of a pull that
    stops, files that are whole are kept for the next. Afterwards hf:ORG/NAME is a MODEL without network, too.
    """
    from dataclasses import asdict

    from kdcli.errors import ConfigError
    from kdcli.hub.address import is_hub, parse
    from kdcli.hub.client import page
    from kdcli.hub.download import fetch, into

    if not is_hub(address):
        raise ConfigError(f"'{address}' is no hf:ORG/NAME; weights of others are fetched by: kdcli weights pull NAME")
    wanted = parse(address, revision)
    if out is not None and (out.is_file() or (out.is_dir() and any(out.iterdir()))):
        raise ConfigError(f"'{out}' is there already; give another --out")
    place = "" if out is None else f"nothing was written to {out}, and "
    session.keeps(lambda: f"{place}files that came whole are kept in the hub's cache; {kept.GOES_ON}")
    found = fetch(wanted)
    from kdcli.students.files import read_card

    card = read_card(found.student)
    session.note(f"{wanted}: licence {card.get('licence', 'unknown')}; its card: {page(wanted)}")
    student = found.student if out is None else into(found, out)
    session.keeps(lambda: f"{student.parent} is whole")
    session.result(
        {"address": str(wanted), "commit": found.commit, "path": str(student.parent), "student": str(student),
         "files": {name: asdict(one) for name, one in found.files.items()}, "licence": card.get("licence", "unknown"),
         "page": page(wanted)},
        f"{student if out is None else out}: {counted(len(found.files), 'file')} of {wanted} at commit "
        f"{found.commit[:12]}",
    )
