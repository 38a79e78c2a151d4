"""``kdcli predict``: raw depth and colour maps of images, folders and videos."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kdcli.cli.ui import Session, command
from kdcli.errors import ConfigError, DataError


class Raw(StrEnum):
    """Formats of raw depth."""

    png16 = "png16"
    npy = "npy"
    both = "both"


Model = Annotated[str, typer.Argument(help="Run folder, .safetensors student, exported file, or teacher:SPEC.")]
Inputs = Annotated[list[Path], typer.Argument(help="Images, folders, videos.")]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to write to.", file_okay=False)]
Size = Annotated[str | None, typer.Option(
    "--size", help="HxW that the model sees, or native; else what it was made for.",
)]
Focal = Annotated[float | None, typer.Option(
    "--focal", help="Focal length of the pictures in their own pixels, for models whose depth depends on it.", min=1.0,
)]
Format = Annotated[Raw, typer.Option("--format", help="Raw depth: 16-bit PNG, float32 NPY, or both.")]
Cmap = Annotated[str, typer.Option("--cmap", help="spectral, magma, inferno, turbo, gray, or none.")]
Limits = Annotated[str | None, typer.Option("--limits", help="LO,HI of the colours, in the unit of the depth.")]

Uncertain = Annotated[bool, typer.Option(
    "--uncertainty", help="Also write how sure a model with depth bins is: standard deviation and entropy.",
)]


_NAMED = 5


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "predict", seed=False, example="kdcli predict runs/small photos --out depth")(predict)


def predict(
    session: Session, model: Model, inputs: Inputs, out: Out, size: Size = None, focal: Focal = None,
    format: Format = Raw.png16, cmap: Cmap = "spectral", limits: Limits = None, uncertainty: Uncertain = False,
) -> None:
    """Predict depth: raw numbers with their meaning in a JSON sidecar, and a colour map with a legend."""
    from dataclasses import asdict

    from kdcli.models import load_model
    from kdcli.networks.shown_size import parse_shown, remark
    from kdcli.predict import find_inputs
    from kdcli.predict import predict as run

    chosen, ends = parse_shown(size), _limits(limits)
    find_inputs(inputs)  # a wrong path is answered before the model is loaded
    network = load_model(model, session.device)
    with session.progress() as bar:
        task = bar.add_task("predict", total=None, note="")
        done, skipped = run(
            network, inputs, out, device=session.device, size=chosen, focal=focal, format=format.value, limits=ends,
            cmap=None if cmap == "none" else cmap, progress=lambda k, n: bar.update(task, completed=k, total=n),
            uncertainty=uncertainty,
        )
    told = {"predicted": [asdict(one) for one in done], "skipped": [asdict(one) for one in skipped]}
    kind = f"{done[0].depth_kind} depth" + (f" in {done[0].unit}" if done[0].unit else "")
    session.result({"model": model, "out": out, **told}, f"{out}: {len(done)} pictures, {kind}")
    if said := remark(network, chosen, [(one.size, one.seen) for one in done]):
        session.note(said.format(f"'{model}'"))
    told_less = [(one.name, losses) for one in done if (losses := one.all_losses)]
    for name, losses in told_less[:_NAMED]:
        session.note(f"warning: '{name}': {losses}")
    if len(told_less) > _NAMED:
        session.note(f"warning: {len(told_less) - _NAMED} more pictures hold less than predicted; their JSON says what")
    if skipped:
        more = f" and {len(skipped) - 1} more" if len(skipped) > 1 else ""
        raise DataError(f"{len(skipped)} of {len(skipped) + len(done)} inputs were skipped: {skipped[0].reason}{more}")


def _limits(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"limits '{text}' are not LO,HI; write for example --limits 0.5,10") from None
    return low, high
