"""``kdcli export``: a file that runs elsewhere and is proved to give the same numbers."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kdcli.cli import kept
from kdcli.cli.complete import source as source_name
from kdcli.cli.ui import Session, command, say

if TYPE_CHECKING:
    from torch import Tensor

    from kdcli.exporters import ExportReport
    from kdcli.exporters.quantising.shown import Shown

Model = Annotated[str, typer.Argument(help="Run folder, .safetensors student, hf:ORG/NAME, or teacher:SPEC.")]


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
Bits = Annotated[Precision, typer.Option("--precision", help="fp16 and int8 have to keep to a budget of depth error.")]
Input = Annotated[Given, typer.Option("--input", help="uint8: the file takes B x H x W x 3 bytes, as cameras give.")]
Out = Annotated[Path, typer.Option("--out", help="File to write.")]
Size = Annotated[str | None, typer.Option("--size", help="HxW fixes it, 'dynamic' insists on any size.")]
Int8 = Annotated[bool, typer.Option("--int8", help="Short for --precision int8.")]
Images = Annotated[Path | None, typer.Option("--images", help="Folder of images to calibrate and verify on.")]
Data = Annotated[str | None, typer.Option(
    "--data", help="Source with depth: also measure what the file costs in accuracy.", autocompletion=source_name,
)]
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
    command(app, "export", device=False, seed=False, example=(
        "kdcli export runs/small --out small.onnx",
        "kdcli export runs/small --out small.onnx --precision int8 --images photos --size 240x320",
    ))(export)


def export(
    session: Session, model: Model, out: Out, format: Format = None, size: Size = None,
    precision: Bits = Precision.FP32, int8: Int8 = False, input: Input = Given.FLOAT, images: Images = None,
    no_verify: NoVerify = False, uncertainty: Uncertain = False, verify_on: VerifyOn = None, probe: Probe = None,
    data: Data = None,
) -> None:
    """Export a model, run the file, and keep it only if it gives the model's numbers."""
    from kdcli.deploying.cost import measured
    from kdcli.deploying.images import simulated
    from kdcli.errors import ConfigError
    from kdcli.exporters.card import card_of
    from kdcli.exporters.endings import chosen, is_exported
    from kdcli.exporters.gate.brought import write_probe
    from kdcli.exporters.quantising.shown import CALIBRATE, JUDGE
    from kdcli.exporters.verifying import asked, verify
    from kdcli.exporters.writing import export as write
    from kdcli.exporters.writing import size_of, tried_at
    from kdcli.models import load_model
    from kdcli.plugins import registry
    from kdcli.predict import read_some
    from kdcli.sources import load_source
    from kdcli.spec import parse_size

    if int8 and precision is Precision.FP16:
        raise ConfigError("--int8 is short for --precision int8, and --precision fp16 is given; leave one of them out")
    if not model.startswith("teacher:") and is_exported(model):
        raise ConfigError(f"'{model}' is an exported file; give the run or the student that it was made of")
    bits = "int8" if int8 else precision.value
    if out.exists() and Path(model).exists() and out.samefile(model):
        raise ConfigError(f"--out '{out}' is the model itself; give another file")
    format = chosen(format, out)
    registry.load(registry.find("exporter", format))  # a wrong format is answered before anything is loaded
    if verify_on is not None:
        _require_alone(verify_on, {"--probe": probe, "--images": images, "--no-verify": no_verify or None,
                                  "--data": data})
        told = asked(size, bits, input.value, uncertainty)
        found = verify(load_model(model), out, verify_on, format=format, asked=told)
        session.result(_document(model, found), lambda: _show(found))
        return
    session.keeps(kept.files(out, probe))
    shape = parse_size(size) if size not in (None, "dynamic") else size
    source = None if data is None else load_source(data)
    pictures = read_some(images, CALIBRATE + JUDGE if bits == "int8" else 16) if images else None
    network = load_model(model)
    shown: Tensor | Shown | None = pictures
    if bits == "int8" and pictures is None:
        shown = simulated(network, model, tried_at(network, shape))
    report = write(
        network, format, out, size=shape, verify=not no_verify, images=shown, precision=bits,  # type: ignore[arg-type]
        input=input.value, card=card_of(model), uncertainty=uncertainty,
    )
    cost = None if source is None or data is None else measured(network, out, source, data)
    if probe is not None:
        write_probe(probe, pictures, size_of(report), input.value)
    session.result(_document(model, report, cost), lambda: _show(report, cost))


def _require_alone(verify_on: Path, others: dict[str, object]) -> None:
    from kdcli.errors import ConfigError

    for name, value in others.items():
        if value is not None:
            raise ConfigError(f"--verify-on '{verify_on}' looks at a file that is there and writes nothing; "
                              f"leave out {name}")


def _document(model: str, report: ExportReport, cost: dict[str, Any] | None = None) -> dict[str, object]:
    from dataclasses import asdict

    return {"model": model, **asdict(report), "verified": bool(report.drift), "accuracy": cost}


def _show(report: ExportReport, cost: dict[str, Any] | None = None) -> None:
    taken = "images of any size" if report.size is None else f"images of {report.size[0]}x{report.size[1]}"
    beside = "" if len(report.files) == 1 else f" with {', '.join(n for n in report.files if n != report.path.name)}"
    part = f" ({report.share:.2f} of the weights in float32)" if report.int8 and report.share is not None else ""
    say(f"{report.path}{beside}: {report.bytes / 1e6:.1f} MB{part}, {taken}, {report.seconds:.1f} s")
    for note in report.notes:
        say(f"note: {note}")
    if not report.drift:
        say("not verified")
    for drift in report.drift:
        depth = (f"; AbsRel {drift.abs_rel:.4f} on average, {drift.largest_abs_rel:.3f} at most, "
                 f"{drift.agreement:.1%} within 1.25") if report.int8 else ""
        say(f"difference to the model at {drift}{depth}")
    if cost is not None:
        say(f"accuracy on {cost['data']}, {cost['n']} images, model to file:")
        for name, change in cost["change"].items():
            low, high = cost["ci95"][name]
            before, after = cost["model"][name], cost["file"][name]
            say(f"  {name} {before:.4f} to {after:.4f}: {change:+.4f} [{low:+.4f}, {high:+.4f}]")
