"""``kdcli data``: look over data before it costs a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from kdcli.cli import complete, data_convert, kept
from kdcli.cli.ui import Session, command
from kdcli.text import counted

_Spec = Annotated[str, typer.Argument(metavar="SPEC", help="A source, for example nyu:/data/nyu or folder:photos.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    group = typer.Typer(no_args_is_help=True)
    command(group, "check", device=False, seed=False, example="kdcli data check nyu:/data/nyu --all")(check)
    command(group, "show", seed="recipe", example="kdcli data show nyu:/data/nyu --out sheet.png --count 8")(show)
    command(
        group, "split", device=False, example="kdcli data split rgbd:/data/rooms --out train.txt test.txt --by folder",
    )(split)
    data_convert.register(group)
    app.add_typer(group, name="data", help="Check a data set for traps, look at it, divide it, or convert it.")


def check(
    session: Session,
    spec: _Spec,
    all_: Annotated[bool, typer.Option("--all", help="Decode every item instead of an even sample.")] = False,
    against: Annotated[
        str | None,
        typer.Option(
            "--against", metavar="SPEC", autocompletion=complete.source,
            help="Another source, such as the test set: name images that are in both, or nearly.",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=0, metavar="N", help="Processes that read; default: what this machine has."),
    ] = None,
) -> None:
    """Say what is missing, broken or suspicious in a data set. Exits with 4 when something cannot be used."""
    from kdcli.cli import data_checked
    from kdcli.errors import DataError
    from kdcli.sources import load_source
    from kdcli.sources.checks import SAMPLED, default_workers, survey
    from kdcli.sources.checks.twins import shared

    source, other = load_source(spec), None if against is None else load_source(against)
    limit, twins = None if all_ else SAMPLED, None
    with session.progress() as progress:
        def ticks(name: str) -> Callable[[int, int], None]:
            task = progress.add_task(name, total=None, note="")
            return lambda done, total: progress.update(task, completed=done, total=total)

        few = min(len(source), SAMPLED) if limit else len(source)
        report = survey(
            source, limit=limit, tick=ticks("reading"), workers=default_workers(few) if workers is None else workers,
        )
        if other is not None and against is not None:
            many = default_workers(len(source) + len(other))
            twins = shared(
                source, other, against, tick=ticks("comparing"), workers=many if workers is None else workers,
            )
    session.result(
        data_checked.document(spec, source, report, twins),
        lambda: data_checked.show(session, spec, source, report, twins),
    )
    if report.errors:
        raise DataError(f"'{spec}' cannot be used: {counted(report.errors, 'error')} above; correct and check again")


def show(
    session: Session,
    spec: _Spec,
    out: Annotated[Path, typer.Option("--out", help="Picture to write.", metavar="FILE.png")],
    count: Annotated[int, typer.Option("--count", help="Most items to draw, spread evenly.", min=1, max=64)] = 4,
    over: Annotated[bool, typer.Option("--over", help="Lay depth over the image instead of beside it.")] = False,
    edges: Annotated[
        bool, typer.Option("--edges", help="Draw lines where depth jumps, over the image: whether the two fit.")
    ] = False,
    height: Annotated[int, typer.Option("--height", help="Height of a row of pictures.", min=32, max=2160)] = 240,
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
    """Write a contact sheet: image with its camera, depth (near is warm), and objects where the data has them."""
    from kdcli.cli.drawn import require_picture
    from kdcli.errors import ConfigError
    from kdcli.images import write_image
    from kdcli.sources import load_source
    from kdcli.sources.sheet import Overlay, contact_sheet, sheet_of

    if over and edges:
        raise ConfigError("--over and --edges both lie over the image; give one")
    require_picture("--out", out)
    session.keeps(kept.files(out))
    overlay: Overlay = "edges" if edges else "over" if over else "beside"
    source = load_source(spec)
    if recipe is None and not set_:
        rows = min(count, len(source))
        sheet = contact_sheet(source, count=rows, height=height, overlay=overlay)
    else:
        from kdcli.choosing import choose
        from kdcli.training.single.look import augmented

        flags = {"data": spec, "seed": session.seed_given, "eval_data": "none", "pretrained": False}
        config = choose(recipe or "plain", flags, set_ or ()).config
        rows = count  # a small source comes round again, augmented otherwise
        sheet = sheet_of(augmented(config, rows, device=session.device), height=height, overlay=overlay)
    write_image(out, sheet)
    document = {"spec": spec, "out": str(out), "items": rows, "height": sheet.shape[1], "width": sheet.shape[2]}
    session.result(document, f"{out}: {rows} of {len(source)} items of {spec}")


def split(
    session: Session,
    spec: _Spec,
    out: Annotated[
        tuple[Path, Path],
        typer.Option("--out", help="Lists to write: of what to train on and what to measure on.",
                     metavar="TRAIN.txt TEST.txt"),
    ],
    by: Annotated[
        Literal["scene", "folder", "index", "random"],
        typer.Option("--by", help="What stays together: a scene of the layout, a folder, a stretch, or nothing."),
    ] = "scene",
    share: Annotated[float, typer.Option("--share", help="Of the images, to measure on.")] = 0.1,
    level: Annotated[
        int | None, typer.Option("--level", help="With --by scene: so many folders are a scene.", metavar="N")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over lists that are there.")] = False,
) -> None:
    """Write two lists of a data set's images, with a hash of each, and say how they are read back.

    The same data, rule, share and --seed give the same lists on any machine.
    """
    from kdcli.sources import load_source
    from kdcli.sources.dividing import LISTS, divide, reading, write_lists

    session.keeps(kept.files(*out))
    source = load_source(spec)
    division = divide(source, spec, share, by, seed=session.seed, level=level)
    rule = f"by {by}, share {share:g}, seed {session.seed}" + (f", level {level}" if level else "")
    hashes = write_lists(division, out, str(getattr(source, "where", "")), [f"source: {spec}", rule], force=force)
    lists = list(zip(LISTS, out, (division.train, division.test), strict=True))
    parts = {part: {"path": str(path), "images": len(pairs), "sha256": hashes[part]} for part, path, pairs in lists}
    document = {"spec": spec, "by": by, "share": share, "seed": session.seed, "level": level, "rule": division.rule}
    said = "\n".join(f"{path}: {counted(len(pairs), 'image')}, {part}" for part, path, pairs in lists)
    read = reading(spec, getattr(source, "name", ""), str(out[0]))
    session.result({**document, **parts, "read": read}, f"{said}\n{division.rule}\nread them as {read}")
