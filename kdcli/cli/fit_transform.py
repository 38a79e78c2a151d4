"""``kdcli fit-transform``: fit a transformation network to a teacher's feature statistics."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from kdcli.cli.ui import Session, command

_Teacher = Annotated[str, typer.Option("--teacher", help="A teacher with batch norms.", metavar="SPEC")]
_Data = Annotated[str, typer.Option("--data", help="The images to transform, for example sim:blocks.", metavar="SPEC")]
_Out = Annotated[Path, typer.Option("--out", help="File to write.", metavar="FILE.safetensors")]
_Mixer = Annotated[list[str] | None, typer.Option("--mixer", help="Mix before the transformation.", metavar="SPEC")]
_Steps = Annotated[int, typer.Option("--steps", min=1, help="Updates of the network.", metavar="N")]
_Size = Annotated[str, typer.Option("--size", help="Height and width of the images.", metavar="HxW")]
_Batch = Annotated[int, typer.Option("--batch-size", min=1, help="Images measured together.", metavar="N")]
_Lr = Annotated[float, typer.Option("--lr", help="Learning rate.")]
_Form = Annotated[Literal["residual", "affine", "both"], typer.Option("--form", help="Kind of network.")]
_Content = Annotated[float, typer.Option("--content", min=0, help="Weight of the term that keeps edges in place.")]
_Norm = Annotated[Literal["l2", "relative"], typer.Option("--norm", help="How layers are compared and weighed.")]


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, "fit-transform")
    def fit_transform(
        session: Session, teacher: _Teacher, data: _Data, out: _Out, mixer: _Mixer = None, steps: _Steps = 200,
        size: _Size = "96x128", batch_size: _Batch = 16, lr: _Lr = 2e-3, form: _Form = "both", content: _Content = 1.0,
        norm: _Norm = "relative",
    ) -> None:
        """Fit a network that carries images into the statistics that a teacher's batch norms remember."""
        from kdcli.config import StageConfig
        from kdcli.spec import parse_size
        from kdcli.training import fit_transform as library

        stage = StageConfig(
            name="fit-transform", train="transform", data=data, teachers=(teacher,), mixers=tuple(mixer or ()),
            steps=steps, batch_size=batch_size, size=parse_size(size), lr=lr, network=form, content=content, norm=norm,
        )
        with session.progress() as display:
            bar = display.add_task("fitting", total=steps, note="")
            found = library.fit_transform(
                stage, out, seed=session.seed, device=session.device,
                told=lambda what, done, total: display.update(bar, completed=done),
            )
        change = f"{found['before']:.4g} -> {found['after']:.4g}"
        worse = "" if found["after"] < found["before"] else "; no better: try other images, --lr or --steps"
        session.result(found, f"{out}: statistics loss {change} in {steps} steps{worse}")
