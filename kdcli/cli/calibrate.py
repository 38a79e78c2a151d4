"""``kdcli calibrate``: bring a student's numbers to metres, or its metres nearer to what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kdcli.cli import kept
from kdcli.cli.complete import source as source_name
from kdcli.cli.ui import Session, command, say

if TYPE_CHECKING:
    from kdcli.calibration import Calibrated

Run = Annotated[Path, typer.Argument(metavar="RUN", help="Run folder or .safetensors student; it stays as it is.")]
Data = Annotated[str, typer.Option("--data", help="Source with measured depth, NAME[:LOCATION][,key=value...].",
                                   autocompletion=source_name)]
Out = Annotated[Path | None, typer.Option(
    "--out", metavar="FILE.safetensors", help="File to write; else student-calibrated.safetensors beside it.",
    dir_okay=False,
)]
ProtocolName = Annotated[str, typer.Option("--protocol", help="Which pixels count, as for eval: plain, kitti-garg ...")]
Size = Annotated[str | None, typer.Option(
    "--size", help="HxW that images are resized to before the student, or native; else what it was made for.",
)]
Limit = Annotated[int | None, typer.Option("--limit", help="Only the first so many images.", min=1)]
BatchSize = Annotated[int, typer.Option("--batch-size", help="Images of one size that are run together.", min=1)]


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "calibrate", example="kdcli calibrate runs/small --data rgbd:/data/kitchen")(calibrate)


def calibrate(
    session: Session, run: Run, data: Data, out: Out = None, protocol: ProtocolName = "plain", size: Size = None,
    limit: Limit = None, batch_size: BatchSize = 8,
) -> None:
    """Bring a student's numbers to metres by images with measured depth, in a new student file.

    A scale, a scale and an exponent in log depth, or (of numbers of unknown offset) a scale and a shift: what has the
    least error on held-out images, and no more than is needed.
    """
    from kdcli.calibration import calibrate as measure
    from kdcli.calibration.job import files_of, note_of
    from kdcli.config.sizes import check_batch
    from kdcli.networks.shown_size import parse_shown
    from kdcli.sources import load_source

    shown = parse_shown(size)
    check_batch(batch_size, shown if isinstance(shown, tuple) else None, f"--batch-size {batch_size}")
    source = load_source(data)
    session.keeps(kept.files(files_of(run, out)[1]))
    with session.progress() as bar:
        task = bar.add_task("measuring", total=None, note="")
        found = measure(
            run, data, source, out=out, protocol=protocol, size=shown, limit=limit, batch_size=batch_size,
            device=session.device, seed=session.seed,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )  # fmt: skip
    session.result(found.document(), lambda: _show(session, found))
    for note in note_of(found):
        session.note(note)


def _show(session: Session, found: Calibrated) -> None:
    formula, choice = found.formula, found.choice
    rows = [
        ("*" if name == choice.name else "", name, f"{one.log_l1:.4f} +- {one.standard_error:.4f}",
         f"{one.abs_rel:.4f}", f"{one.delta1:.4f}")
        for name, one in choice.held_out.items()
    ]
    title = f"held-out error, {len(found.samples)} images in {choice.folds} parts"
    session.table(["", "choice", "log_l1", "abs_rel", "delta1"], rows, title=title)
    sign = "-" if formula.offset < 0 else "+"
    moved = "x" if not formula.offset else f"(x {sign} {abs(formula.offset):.6g})"
    raised = "" if formula.exponent == 1 else f" ** {formula.exponent:.6g}"
    say(f"metres = {formula.scale:.6g} * {moved}{raised}, {formula.near:.3g} to {formula.far:.3g} m")
    say(f"wrote {found.out}")
