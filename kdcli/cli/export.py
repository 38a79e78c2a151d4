"""``kdcli export``: a file that runs elsewhere and is proved to give the same numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kdcli.cli.ui import Session, command, say

if TYPE_CHECKING:
    from kdcli.exporters import ExportReport

Model = Annotated[str, typer.Argument(help="Run folder, .safetensors student, or teacher:SPEC.")]
Format = Annotated[str, typer.Option("--format", help="Exporter plugin: onnx, pt2, ...")]
Out = Annotated[Path, typer.Option("--out", help="File to write.")]
Size = Annotated[str | None, typer.Option("--size", help="HxW fixes it, 'dynamic' insists on any size.")]
Int8 = Annotated[bool, typer.Option("--int8", help="Quantise weights and activations (onnx only).")]
Images = Annotated[Path | None, typer.Option("--images", help="Folder of images to calibrate and verify on.")]
NoVerify = Annotated[bool, typer.Option("--no-verify", help="Skip the parity gate.")]

Uncertain = Annotated[bool, typer.Option(
    "--uncertainty", help="Two more outputs of a model with depth bins: std and entropy.",
)]


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "export")(export)


def export(
    session: Session, model: Model, out: Out, format: Format = "onnx", size: Size = None, int8: Int8 = False,
    images: Images = None, no_verify: NoVerify = False, uncertainty: Uncertain = False,
) -> None:
    """Export a model, run the file, and keep it only if it gives the model's numbers."""
    from kdcli.errors import ConfigError
    from kdcli.exporters.card import card_of
    from kdcli.exporters.writing import export as write
    from kdcli.models import load_model
    from kdcli.plugins import registry
    from kdcli.predict import read_some
    from kdcli.spec import parse_size

    if out.exists() and Path(model).exists() and out.samefile(model):
        raise ConfigError(f"--out '{out}' is the model itself; give another file")
    registry.load(registry.find("exporter", format))  # a wrong format is answered before anything is loaded
    chosen = parse_size(size) if size not in (None, "dynamic") else size
    pictures = read_some(images, 16) if images else None
    report = write(
        load_model(model), format, out, size=chosen, verify=not no_verify, images=pictures, int8=int8,  # type: ignore[arg-type]
        card=card_of(model), uncertainty=uncertainty,
    )
    session.result(_document(model, report), lambda: _show(report))


def _document(model: str, report: ExportReport) -> dict[str, object]:
    from dataclasses import asdict

    return {"model": model, **asdict(report), "verified": bool(report.drift)}


def _show(report: ExportReport) -> None:
    taken = "images of any size" if report.size is None else f"images of {report.size[0]}x{report.size[1]}"
    say(f"{report.path}: {report.bytes / 1e6:.1f} MB, {taken}, {report.seconds:.1f} s")
    for note in report.notes:
        say(f"note: {note}")
    if not report.drift:
        say("not verified")
    for drift in report.drift:
        agreement = f", {drift.agreement:.1%} within 1.25" if report.int8 else ""
        say(f"difference to the model at {drift}{agreement}")
