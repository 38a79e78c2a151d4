"""``kdcli data``: look over data before it costs a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kdcli.cli import complete, data_convert
from kdcli.cli.ui import Session, command, say
from kdcli.text import line

if TYPE_CHECKING:
    from kdcli.protocols import Source
    from kdcli.sources.checks import Survey

_Spec = Annotated[str, typer.Argument(metavar="SPEC", help="A source, for example nyu:/data/nyu or folder:photos.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    group = typer.Typer(no_args_is_help=True)
    command(group, "check")(check)
    command(group, "show")(show)
    data_convert.register(group)
    app.add_typer(group, name="data", help="Check a data set for traps, look at it, or convert it.")


def check(
    session: Session,
    spec: _Spec,
    all_: Annotated[bool, typer.Option("--all", help="Decode every item instead of an even sample.")] = False,
) -> None:
    """Say what is missing, broken or suspicious in a data set. Exits with 4 when something cannot be used."""
    from kdcli.errors import DataError
    from kdcli.sources import load_source
    from kdcli.sources.checks import SAMPLED, survey

    source = load_source(spec)
    with session.progress() as progress:
        task = progress.add_task("reading", total=None, note="")
        report = survey(
            source, limit=None if all_ else SAMPLED,
            tick=lambda done, total: progress.update(task, completed=done, total=total),
        )
    session.result(_document(spec, source, report), lambda: _print(session, spec, source, report))
    if report.errors:
        raise DataError(f"'{spec}' has {report.errors} finding(s) that make it unusable; correct them and check again")


def show(
    session: Session,
    spec: _Spec,
    out: Annotated[Path, typer.Option("--out", help="Picture to write.", metavar="FILE.png")],
    count: Annotated[int, typer.Option("--count", help="Most items to draw, spread evenly.", min=1, max=64)] = 4,
    over: Annotated[bool, typer.Option("--over", help="Lay depth over the image instead of beside it.")] = False,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Show the first images that this recipe would train on: resized, augmented, cropped, not mixed.",
            autocompletion=complete.recipe,
        ),
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE of the recipe (of 'plain', if none is given); repeat.")
    ] = None,
) -> None:
    """Write a contact sheet: image, depth (near is warm), and objects where the data has them."""
    from kdcli.images import write_image
    from kdcli.sources import load_source
    from kdcli.sources.sheet import contact_sheet, sheet_of

    source = load_source(spec)
    if recipe is None and not set_:
        rows = min(count, len(source))
        sheet = contact_sheet(source, count=rows, over=over)
    else:
        from kdcli.choosing import choose
        from kdcli.training.single.look import augmented

        flags = {"data": spec, "seed": session.seed_given, "eval_data": "none", "pretrained": False}
        config = choose(recipe or "plain", flags, set_ or ()).config
        rows = count  # a small source comes round again, augmented otherwise
        sheet = sheet_of(augmented(config, rows, device=session.device), over=over)
    write_image(out, sheet)
    document = {"spec": spec, "out": str(out), "items": rows, "height": sheet.shape[1], "width": sheet.shape[2]}
    session.result(document, f"{out}: {rows} of {len(source)} items of {spec}")


def _document(spec: str, source: Source, report: Survey) -> dict[str, Any]:
    return {
        "spec": spec,
        "n": report.n,
        "read": report.read,
        "depth_kind": None if source.depth_kind is None else str(source.depth_kind),
        "sizes": report.sizes,
        "depth": report.depth,
        "objects": report.objects,
        "findings": [
            {"level": finding.level, "message": finding.message, "path": finding.path} for finding in report.findings
        ],
    }


def _print(session: Session, spec: str, source: Source, report: Survey) -> None:
    sizes = ", ".join(f"{size} ({count})" for size, count in report.sizes.items()) or "none"
    rows: list[tuple[str, str]] = [
        ("items", f"{report.n}, of which {report.read} were read"),
        ("sizes", f"{sizes} height x width"),
        ("depth", "none" if source.depth_kind is None else str(source.depth_kind)),
    ]
    if report.depth is not None:
        low, middle, high = (report.depth[key] for key in ("min", "median", "max"))
        rows.append(("metres", f"{low:.3g} to {high:.3g}, median {middle:.3g}"))
        rows.append(("holes", f"{report.depth['holes']:.1%} of the pixels"))
    if report.objects is not None:
        mean, most, without = (report.objects[key] for key in ("mean", "most", "without"))
        rows.append(("objects", f"{mean:.3g} an image, at most {most:.0f}; {without:.1%} of the images have none"))
    session.table(("", spec), rows)
    for finding in report.findings:  # not in the table: paths are long and must not be folded
        say(line(f"{finding.level}: {finding.message}"))
    if not report.findings:
        say("nothing is wrong with it")
