"""``kdcli eval``: measure models against ground truth or a teacher, with intervals and paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kdcli.cli import kept
from kdcli.cli.complete import source as source_name
from kdcli.cli.ui import Session, command, say

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID
    from torch import nn

    from kdcli.errors import KdcliError
    from kdcli.evals import Result
    from kdcli.evals.reference import Reference
    from kdcli.evals.sets import SetResults

Models = Annotated[list[str], typer.Argument(
    metavar="MODEL", help="Run folders, .safetensors students, hf:ORG/NAME, exported files, teacher:SPEC, or constant: "
    "the median depth of each image, which a network must beat; or predictions:DIR, what any tool wrote, with "
    "kind=metric|scale_invariant|affine_depth|affine_disparity and codec= or scale= unless kdcli predict wrote it.",
)]
Data = Annotated[list[str], typer.Option(
    "--data", help="Source with depth, NAME[:LOCATION][,key=value...]; several make one table, and TITLE= may stand in "
    "front of each.", autocompletion=source_name,
)]
Against = Annotated[str | None, typer.Option(
    "--against", metavar="MODEL", help="A model, such as teacher:SPEC, whose depth takes the place of ground truth: "
    "fidelity, not accuracy; any images will do.",
)]


def _list_protocols(context: typer.Context, _: bool) -> None:
    """Print a line for each protocol, or one document, and end, where ``list`` is asked for; refuse what is none."""
    if not (names := context.params.get("protocol") or []):
        return
    from kdcli.evals.protocol import PROTOCOLS, find, is_family

    if "list" not in names:  # said before anything else is found missing: it may be what was meant
        for name in names:
            if not is_family(name):  # which of a family it is, the set says
                find(name)
        return
    session = Session(json=bool(context.params.get("json")))
    rows = [(one.name, one.measures, one.used_by) for one in PROTOCOLS.values()]
    session.result(
        [{**one.document(), "measures": one.measures, "used_by": one.used_by} for one in PROTOCOLS.values()],
        lambda: session.table(("protocol", "measures", "used by"), rows),
    )
    raise typer.Exit


Listing = Annotated[bool, typer.Option(
    # Eager options that are not given come after those that are and before all others, which may be missing.
    "--list-protocols", hidden=True, is_eager=True, expose_value=False, callback=_list_protocols,
)]
ProtocolNames = Annotated[list[str] | None, typer.Option(
    "--protocol", is_eager=True, help="list names all: plain (default), nyu-eigen, "
    "kitti-garg, marigold-eth3d ...; or a TOML file of your own; fidelity with --against. +flip, +pixel (pooled RMSE), "
    "+max50 and alignments may follow. Once, or once for each of several --data, which have their usual ones else.",
)]
Align = Annotated[str, typer.Option(
    "--align", help="auto (what the depth kind needs), none, median, scale-shift, scale-shift-disparity or "
    "scale-shift-log.",
)]
Csv = Annotated[Path | None, typer.Option("--csv", help="Write one row for each set, image and model.", dir_okay=False)]
Html = Annotated[Path | None, typer.Option("--report", help="Write a one-file HTML report.", dir_okay=False)]
Size = Annotated[str | None, typer.Option(
    "--size", help="HxW that images are resized to before the models, or native; else what each was made for.",
)]
Limit = Annotated[int | None, typer.Option("--limit", help="Only the first so many images.", min=1)]
Uncertain = Annotated[bool, typer.Option(
    "--uncertainty", help="Also measure whether models with a distribution over depth know where they are wrong.",
)]
Perturb = Annotated[str | None, typer.Option(
    "--perturb", metavar="EPS", help="Also measure the models on images changed to mislead them (FGSM, PGD), by at "
    "most EPS a number of a colour in 0..1, such as 2/255.",
)]
BatchSize = Annotated[int, typer.Option("--batch-size", help="Images of one size that are run together.", min=1)]


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "eval", example=(
        "kdcli eval runs/small teacher:adabins constant --data nyu:/data/nyu --protocol nyu-eigen --report nyu.html",
        "kdcli eval runs/small --data folder:photos --against teacher:adabins",
        "kdcli eval --protocol list",
    ))(evaluate)


def evaluate(
    session: Session, models: Models, data: Data, protocol: ProtocolNames = None, align: Align = "auto",
    against: Against = None, csv: Csv = None, report: Html = None, size: Size = None, limit: Limit = None,
    batch_size: BatchSize = 8, uncertainty: Uncertain = False, perturb: Perturb = None, listing: Listing = False,
) -> None:  # fmt: skip
    """Measure models on the same images under a named protocol; every number comes with its interval.

    With --against no depth is needed: models are held against what that one says of the images. Several --data make one
    table, each set by its own protocol.
    """
    from kdcli.choosing.measuring import usual_protocol
    from kdcli.config.sizes import check_batch
    from kdcli.errors import KdcliError
    from kdcli.evals import evaluate as measure
    from kdcli.evals.perturb import parse_epsilon
    from kdcli.evals.results import remarks, require_measured, write_csv
    from kdcli.evals.runner import check
    from kdcli.evals.sets import SetResults, models_for, open_sets
    from kdcli.networks.shown_size import parse_shown
    from kdcli.sources import load_source

    shown = parse_shown(size)
    epsilon = None if perturb is None else parse_epsilon(perturb)
    check_batch(batch_size, shown if isinstance(shown, tuple) else None, f"--batch-size {batch_size}")
    _require_places(csv, report)
    session.keeps(kept.files(csv, report))
    networks = _load(models, session)
    reference = None if against is None else _reference(against, networks, session)
    if reference is None:
        sets = open_sets(data, protocol or [], load_source, usual_protocol)
    else:
        sets = open_sets(data, protocol or ["fidelity"], load_source, usual_protocol)
    several = len(sets) > 1
    shown_to = {one.name: models_for(networks, one.name, lambda text: _one(text, session)) for one in sets}
    for one in sets:  # all of them before the first is measured
        check(shown_to[one.name], one.source, one.protocol, align, reference)
        if uncertainty:
            _require_line(one.protocol, align)
    found, failed = list[SetResults](), dict[str, KdcliError]()
    with session.progress() as bar:
        for one in sets:
            task = bar.add_task("evaluating" + (f" {one.name}" if several else ""), total=None, note="")
            try:
                results = measure(
                    shown_to[one.name], one.source, one.protocol, align=align, device=session.device, size=shown,
                    batch_size=batch_size, seed=session.seed, limit=limit, spec=one.spec, uncertainty=uncertainty,
                    against=reference, perturb=epsilon, distances=report is not None or session.json,
                    progress=partial(_count, bar, task),
                )  # fmt: skip
            except KdcliError as error:  # what was measured of the other sets is not lost with this one
                if not several:
                    raise
                failed[one.name] = error
                continue
            found.append(SetResults(set=one, results=list(results.values())))
    if not found:
        _refuse_failed(failed)
    rows = [result for one in found for result in one.results]
    if uncertainty:
        _require_one(rows)
    if csv is not None:
        write_csv(csv, rows)
    if report is not None:
        from kdcli.report.evaluation import write_sets

        write_sets(report, found, shown_to, against=reference)
    _tell(session, found, several)
    for written in (csv, report):
        if written is not None:
            session.note(f"wrote {written}")
    for note in remarks(rows):
        session.note(note)
    _refuse_failed(failed)
    require_measured(rows)


def _require_places(csv: Path | None, report: Path | None) -> None:
    """Refuse files that could not be written, before the work whose result they are to hold."""
    from kdcli.errors import ConfigError
    from kdcli.files import require_writable

    if csv is not None and report is not None and csv.resolve() == report.resolve():
        raise ConfigError(f"--csv and --report both name '{csv}'; give each a file of its own")
    for path in (csv, report):
        if path is not None:
            require_writable(path)


def _refuse_failed(failed: Mapping[str, KdcliError]) -> None:
    """Raise the error of the first set that could not be measured, if there is one."""
    for name, error in failed.items():
        more = f" (nor could {', '.join(one for one in failed if one != name)})" if len(failed) > 1 else ""
        raise type(error)(f"set '{name}' could not be measured{more}: {error}") from error


def _count(bar: Progress, task: TaskID, done: int, total: int) -> None:
    bar.update(task, completed=done, total=total)


def _tell(session: Session, found: list[SetResults], several: bool) -> None:
    """Give the result: as ever for one set; of several, one list and one table."""
    from kdcli.evals.results import documents

    faithful = found[0].results[0].against is not None
    told: Any = documents(found[0].results)
    if several:
        told = [document for one in found for document in one.documents()]
    session.result({"fidelity": told} if faithful else told, lambda: _show(session, found, several))


def _load(models: Sequence[str], session: Session) -> dict[str, nn.Module | None]:
    """Load each model once; predictions of each set are loaded with it, and None until then."""
    from kdcli.errors import ConfigError
    from kdcli.evals.sets import of_each_set

    twice = next((name for i, name in enumerate(models) if name in models[:i]), None)
    if twice is not None:
        raise ConfigError(f"model '{twice}' is named twice; name each once")
    return {name: None if of_each_set(name) else _one(name, session) for name in models}


def _one(text: str, session: Session) -> nn.Module:
    from kdcli.evals.baseline import load

    return load(text, session.device)


def _reference(text: str, networks: dict[str, nn.Module | None], session: Session) -> Reference:
    """Load the model that others are held against, unless it is one of them."""
    from kdcli.errors import ConfigError
    from kdcli.evals.baseline import NAME
    from kdcli.evals.reference import Reference

    if text == NAME:
        raise ConfigError(f"--against {NAME} is no teacher: it needs ground truth; give teacher:SPEC")
    return Reference(model=networks.get(text) or _one(text, session), name=text)


def _require_line(protocol: str, align: str) -> None:
    """Refuse uncertainty under an alignment that is no line in depth: deviations and intervals do not follow it.

    Raises:
        ConfigError: it is a fit in another space.
    """
    from kdcli.errors import ConfigError
    from kdcli.evals.alignment import in_depth, resolve
    from kdcli.evals.protocol import find
    from kdcli.types import DepthKind

    mode = resolve(align, DepthKind.METRIC, find(protocol).alignment)
    if not in_depth(mode, DepthKind.METRIC):
        raise ConfigError(f"alignment '{mode}' is no factor and offset of depth, which --uncertainty needs; add "
                          "--align none, median or scale-shift, or leave out --uncertainty")


def _require_one(results: Sequence[Result]) -> None:
    """Refuse to say nothing where uncertainty was asked for.

    Raises:
        ConfigError: no model tells how sure it is.
    """
    from kdcli.errors import ConfigError
    from kdcli.uncertainty import WHO

    if all(result.uncertainty is None for result in results):
        named = ", ".join(f"'{result.model}'" for result in results)
        raise ConfigError(f"{named} gives no distribution over depth; {WHO}, or leave out --uncertainty")


def _show(session: Session, found: list[SetResults], several: bool) -> None:
    from kdcli.report.sets import rank_note, set_rows

    if not several:
        _show_one(session, list(found[0].results), skipped=10)
        return
    groups = [(one.set.name, one.results) for one in found]
    columns, rows = set_rows(groups)
    session.table(columns, rows)
    session.note(rank_note(groups))
    for one in found:
        say(f"\n{one.set.name}: {one.set.spec}")
        _show_one(session, list(one.results), skipped=3)


def _show_one(session: Session, results: list[Result], skipped: int) -> None:
    from kdcli.report.common import own_images, silent
    from kdcli.report.tables import (
        condition_rows,
        extra_rows,
        metric_rows,
        paired_rows,
        perturbed_rows,
        skipped_rows,
        uncertainty_rows,
    )

    parts = [condition_rows(results), metric_rows(results), extra_rows(results), uncertainty_rows(results),
             perturbed_rows(results), skipped_rows(results, most=skipped)]
    if len(results) > 1:
        parts.insert(3, paired_rows(results))
    shown = [(columns, rows) for columns, rows in parts if rows]
    against = results[0].against
    title = None if against is None else f"fidelity to {against} (not accuracy)"
    for i, (columns, rows) in enumerate(shown):
        if i:
            say()
        session.table(columns, rows, title=title if i == 0 else None)
    if whose := own_images(results):
        session.note(f"note: {whose}: means are each model's own, differences are of the images that both have")
    for sentence in silent(results):
        session.note(f"note: {sentence}")
    if len({result.protocol.hash for result in results}) > 1:
        session.note("note: the models were aligned or read out differently, as their depth kinds and authors want; "
                     "--align and modifiers of --protocol (+no-flip, +bilinear) name one way for all")
