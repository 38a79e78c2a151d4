"""``kdcli export``: a file that runs elsewhere and is proved to give the same numbers."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kdcli.cli.ui import Session, command, say

if TYPE_CHECKING:
    from kdcli.exporters import ExportReport

Model = Annotated[str, typer.Argument(help="Run folder, .safetensors student, or teacher:SPEC.")]


class Precision(StrEnum):
    """How many bits the numbers of a file have."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"


class Given(StrEnum):
    """What a file is given."""

    FLOAT = "float"
    UINT8 = "uint8"


Format = Annotated[str | None, typer.Option("--format", help="Exporter plugin; otherwise the ending of --out tells.")]
Bits = Annotated[Precision, typer.Option("--precision", help="fp16 and int8 are judged by depth.")]
Input = Annotated[Given, typer.Option("--input", help="uint8: the file takes B x H x W x 3 bytes, as cameras give.")]
Out = Annotated[Path, typer.Option("--out", help="File to write.")]
Size = Annotated[str | None, typer.Option("--size", help="HxW fixes it, 'dynamic' insists on any size.")]
Int8 = Annotated[bool, typer.Option("--int8", help="Short for --precision int8.")]
Images = Annotated[Path | None, typer.Option("--images", help="Folder of images to calibrate and verify on.")]
VerifyOn = Annotated[Path | None, typer.Option(
    "--verify-on", help="NPZ (image, depth) from a device: held against the model for the file that is at --out.",
)]
Probe = Annotated[Path | None, typer.Option("--probe", help="NPZ to write: images to take to the device.")]
NoVerify = Annotated[bool, typer.Option("--no-verify", help="Skip the parity gate.")]

Uncertain = Annotated[bool, typer.Option(
    "--uncertainty", help="Two more outputs of a model with depth bins: std and entropy.",
)]


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "export")(export)


def export(
    session: Session, model: Model, out: Out, format: Format = None, size: Size = None,
    precision: Bits = Precision.FP32, int8: Int8 = False, input: Input = Given.FLOAT, images: Images = None,
    no_verify: NoVerify = False, uncertainty: Uncertain = False, verify_on: VerifyOn = None, probe: Probe = None,
) -> None:
    """Export a model, run the file, and keep it only if it gives the model's numbers."""
    from kdcli.errors import ConfigError
    from kdcli.exporters.card import card_of
    from kdcli.exporters.endings import chosen
    from kdcli.exporters.gate.brought import write_probe
    from kdcli.exporters.verifying import asked, verify
    from kdcli.exporters.writing import export as write
    from kdcli.exporters.writing import size_of
    from kdcli.models import load_model
    from kdcli.plugins import registry
    from kdcli.predict import read_some
    from kdcli.spec import parse_size

    if out.exists() and Path(model).exists() and out.samefile(model):
        raise ConfigError(f"--out '{out}' is the model itself; give another file")
    format = chosen(format, out)
    registry.load(registry.find("exporter", format))  # a wrong format is answered before anything is loaded
    if verify_on is not None:
        _require_alone(verify_on, {"--probe": probe, "--images": images, "--no-verify": no_verify or None})
        told = asked(size, "int8" if int8 else precision.value, input.value, uncertainty)
        found = verify(load_model(model), out, verify_on, format=format, asked=told)
        session.result(_document(model, found), lambda: _show(found))
        return
    shape = parse_size(size) if size not in (None, "dynamic") else size
    pictures = read_some(images, 16) if images else None
    report = write(
        load_model(model), format, out, size=shape, verify=not no_verify, images=pictures, int8=int8,  # type: ignore[arg-type]
        precision=precision.value, input=input.value, card=card_of(model), uncertainty=uncertainty,
    )
    if probe is not None:
        write_probe(probe, pictures, size_of(report), input.value)
    session.result(_document(model, report), lambda: _show(report))


def _require_alone(verify_on: Path, others: dict[str, object]) -> None:
    from kdcli.errors import ConfigError

    for name, value in others.items():
        if value is not None:
            raise ConfigError(f"--verify-on '{verify_on}' looks at a file that is there and writes nothing; "
                              f"leave out {name}")


def _document(model: str, report: ExportReport) -> dict[str, object]:
    from dataclasses import asdict

    return {"model": model, **asdict(report), "verified": bool(report.drift)}


def _show(report: ExportReport) -> None:
    taken = "images of any size" if report.size is None else f"images of {report.size[0]}x{report.size[1]}"
    beside = "" if len(report.files) == 1 else f" with {', '.join(n for n in report.files if n != report.path.name)}"
    say(f"{report.path}{beside}: {report.bytes / 1e6:.1f} MB, {taken}, {report.seconds:.1f} s")
    for note in report.notes:
        say(f"note: {note}")
    if not report.drift:
        say("not verified")
    for drift in report.drift:
        agreement = f", {drift.agreement:.1%} within 1.25" if report.int8 else ""
        say(f"difference to the model at {drift}{agreement}")
