"""``kdcli push``: a run's student to the hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kdcli.cli import kept
from kdcli.cli.ui import Session, command, say

if TYPE_CHECKING:
    from kdcli.hub.address import Address
    from kdcli.sharing.bundle import Bundle

Run = Annotated[Path, typer.Argument(help="Folder of a finished run.")]
To = Annotated[str, typer.Argument(metavar="hf:ORG/NAME", help="Repository of the hub; made where there is none.")]
Private = Annotated[bool, typer.Option("--private", help="Make a repository that only you and ORG see.")]
Revision = Annotated[str | None, typer.Option(
    "--revision", metavar="REVISION", help="Branch to push to; main by default.",
)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="List the files and show the card; nothing is sent.")]
Files = Annotated[list[Path] | None, typer.Option(
    "--file", metavar="FILE", help="Exported file of this student that lies elsewhere; repeat for several.",
)]
Card = Annotated[Path | None, typer.Option(
    "--card", metavar="FILE", help="Card to use as it is, in place of one from the run.", dir_okay=False,
)]
NoPicture = Annotated[bool, typer.Option("--no-picture", help="Leave out the picture, which shows images of the data.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "push", device=False, seed=False, example="kdcli push runs/small hf:ORG/NAME --dry-run")(push)


def push(
    session: Session, run: Run, to: To, private: Private = False, revision: Revision = None, dry_run: DryRun = False,
    file: Files = None, card: Card = None, no_picture: NoPicture = False,
) -> None:
    """Bring a student to the hub: its weights, exported files and model card, as hf:ORG/NAME.

    Everybody can see it unless --private is given. Exported files in the run folder go along, no other file does; names
    of folders and tokens are taken out. All arrives in one commit, or nothing does.
    """
    import tempfile

    from kdcli.hub.address import parse
    from kdcli.hub.upload import require_ready, require_safe, upload
    from kdcli.sharing.bundle import README, bundle, own_card
    from kdcli.sharing.facts import facts_of

    address = parse(to, revision)
    text = None if card is None else own_card(card)
    if not dry_run:
        require_ready(address)
    session.keeps(lambda: f"nothing was sent; {kept.ANEW}")
    facts = facts_of(run, more=tuple(file or ()), picture=not no_picture)
    for note in (*facts.left_out, *_terms(facts.card)):
        session.note(f"note: {note}")
    if card is None and (run / README).is_file():
        session.note(f"note: the card is written anew; --card {run / README} takes the one that lies in the run")
    with tempfile.TemporaryDirectory(prefix="kdcli-push-") as folder:
        made = bundle(facts, Path(folder), address, text=text)
        require_safe(made.files)
        document = {"run": str(run), "address": str(address), "private": private, **_told(made)}
        if dry_run:
            session.result({**document, "dry_run": True}, lambda: _show(session, address, made))
            return
        seen = "private" if private else "public"
        session.note(f"pushing {len(made.files)} files, {made.bytes / 1e6:.1f} MB, to {address}, {seen}")
        session.keeps(lambda: f"{address} has all of these files or none; {kept.GOES_ON}, after what has arrived")
        done = upload(
            address, made.files, private=private, message=f"Push {run.resolve().name} with kdcli", note=session.note
        )
    session.keeps(lambda: f"all is at {address}")
    session.result(
        {**document, "private": done.private, "page": done.page, "commit": done.commit, "removed": list(done.removed)},
        f"{address}: {len(made.files)} files at commit {done.commit[:12]}, {done.page}\n"
        f"use it: kdcli predict {address} photos --out depth",
    )


def _terms(card: Any) -> list[str]:
    """Return one line for each network in a student whose licence does not simply allow its use."""
    from kdcli.sharing.terms import Terms, meaning, origins

    rows = [one for _, one in origins(card) if meaning(one.get("licence")) is not Terms.FREE]
    return [f"{one['spec']} ({one.get('licence') or 'none stated'}) {meaning(one.get('licence'))}" for one in rows]


def _told(made: Bundle) -> dict[str, Any]:
    from kdcli.files import sha256_of

    files = [
        {"name": name, "size": path.stat().st_size, "sha256": sha256_of(path)} for name, path in made.files.items()
    ]
    return {"files": files, "bytes": made.bytes, "card": made.card}


def _show(session: Session, address: Address, made: Bundle) -> None:
    rows: list[tuple[object, ...]] = [(name, f"{path.stat().st_size:,}") for name, path in made.files.items()]
    session.table(("file", "bytes"), [*rows, (f"{len(rows)} files", f"{made.bytes:,}")])
    say(f"\nthe card of {address}, README.md:\n\n{made.card}", whole=True)
    say("nothing was sent; leave out --dry-run to push")
