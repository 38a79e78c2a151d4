"""``kdcli mix``: write a set of mixed images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kdcli.cli import kept
from kdcli.cli.ui import Session, command
from kdcli.text import counted

_Data = Annotated[str, typer.Option("--data", help="The images, for example sim:blocks.", metavar="SPEC")]
_Mixer = Annotated[list[str], typer.Option("--mixer", help="How to mix; several are applied in order.", metavar="SPEC")]
_Count = Annotated[int, typer.Option("--count", min=1, help="Number of images.", metavar="N")]
_Out = Annotated[Path, typer.Option(
    "--out", metavar="DIR", help="Folder to write; an unfinished set of the same kind is completed.",
)]
_Size = Annotated[str | None, typer.Option("--size", help="Height and width; default: the source's.", metavar="HxW")]
_Preview = Annotated[Path | None, typer.Option("--preview", help="Picture of before and after.", metavar="FILE.png")]


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(
        app, "mix", example="kdcli mix --data sim:rooms --mixer object --count 16 --out mixed --preview mixed.png",
    )
    def mix(
        session: Session, data: _Data, mixer: _Mixer, count: _Count, out: _Out, size: _Size = None,
        preview: _Preview = None,
    ) -> None:
        """Write a reproducible set of mixed images: PNGs, instance maps and a manifest."""
        from kdcli.cli.drawn import require_picture
        from kdcli.spec import parse_size
        from kdcli.training.single.mix_set import mix_set

        require_picture("--preview", preview)
        session.keeps(kept.going_on(lambda: out))
        with session.progress() as display:
            bar = display.add_task("mixing", total=count, note="")
            report = mix_set(
                data, mixer, count=count, out=out, size=None if size is None else parse_size(size), seed=session.seed,
                device=session.device, preview=preview,
                told=lambda what, done, total: display.update(bar, completed=done),
            )
        height, width = report.size
        there = f" ({report.kept} were there)" if report.kept else ""
        session.result(report.document(), f"{counted(report.count, 'image')} of {height}x{width} in {out}{there}")
