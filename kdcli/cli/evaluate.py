"""``kdcli eval``: measure models against ground truth or a teacher, with intervals and paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kdcli.cli.complete import source as source_name
from kdcli.cli.ui import Session, command, say

if TYPE_CHECKING:
    from torch import nn

    from kdcli.evals import Result
    from kdcli.evals.reference import Reference

Models = Annotated[list[str], typer.Argument(
    metavar="MODEL", help="Run folders, .safetensors students, exported files, teacher:SPEC, or constant: the "
    "median depth of each image, which a network must beat.",
)]
Data = Annotated[str, typer.Option("--data", help="Source with depth, NAME[:LOCATION][,key=value...].",
                                   autocompletion=source_name)]
Against = Annotated[str | None, typer.Option(
    "--against", metavar="MODEL", help="A model, such as teacher:SPEC, whose depth takes the place of ground truth: "
    "fidelity, not accuracy; any images will do.",
)]


def _list_protocols(name: str | None) -> str | None:
    """Print a line for each protocol and end, where ``list`` is asked for."""
    if name != "list":
        return name
    from kdcli.evals.protocol import PROTOCOLS

    wide = max(map(len, PROTOCOLS))
    for protocol in PROTOCOLS.values():
        say(f"{protocol.name:{wide}}  {protocol.measures} [{protocol.used_by}]")
    raise typer.Exit


ProtocolName = Annotated[str | None, typer.Option(
    "--protocol", callback=_list_protocols, is_eager=True, help="list names all: plain (default), nyu-eigen, "
    "kitti-garg, marigold-eth3d ...; or a TOML file of your own; fidelity with --against. +flip, +pixel (pooled RMSE), "
    "+max50 and alignments may follow.",
)]
Align = Annotated[str, typer.Option(
    "--align", help="auto (what the depth kind needs), none, median, scale-shift, scale-shift-disparity or "
    "scale-shift-log.",
)]
Csv = Annotated[Path | None, typer.Option("--csv", help="Write one row for each image and model.", dir_okay=False)]
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
    command(app, "eval")(evaluate)


def evaluate(
    session: Session, models: Models, data: Data, protocol: ProtocolName = None, align: Align = "auto",
    against: Against = None, csv: Csv = None, report: Html = None, size: Size = None, limit: Limit = None,
    batch_size: BatchSize = 8, uncertainty: Uncertain = False, perturb: Perturb = None,
) -> None:  # fmt: skip
    """Measure models on the same images under a named protocol; every number comes with its interval.

    With --against no depth is needed: models are held against what that one says of the images.
    """
    from kdcli.config.sizes import check_batch
    from kdcli.evals import evaluate as measure
    from kdcli.evals.perturb import parse_epsilon
    from kdcli.evals.results import documents, require_measured, write_csv
    from kdcli.files import require_writable
    from kdcli.networks.shown_size import parse_shown
    from kdcli.sources import load_source

    shown = parse_shown(size)
    epsilon = None if perturb is None else parse_epsilon(perturb)
    check_batch(batch_size, shown if isinstance(shown, tuple) else None, f"--batch-size {batch_size}")
    for path in (csv, report):
        if path is not None:
            require_writable(path)  # before the work whose result it is to hold
    networks = _load(models, session)
    reference = None if against is None else _reference(against, networks, session)
    protocol = protocol or ("plain" if reference is None else "fidelity")
    source = load_source(data)
    with session.progress() as bar:
        task = bar.add_task("evaluating", total=None, note="")
        found = measure(
            networks, source, protocol, align=align, device=session.device, size=shown, batch_size=batch_size,
            seed=session.seed, limit=limit, spec=data, uncertainty=uncertainty, against=reference,
            perturb=epsilon,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )  # fmt: skip
    results = list(found.values())
    if uncertainty:
        _require_one(results)
    if csv is not None:
        write_csv(csv, results)
    if report is not None:
        _write_report(report, results, networks, source, reference)
    told = documents(results)
    session.result(told if reference is None else {"fidelity": told}, lambda: _show(session, results))
    for written in (csv, report):
        if written is not None:
            session.note(f"wrote {written}")
    for note in dict.fromkeys(note for result in results for note in result.notes):
        named = ", ".join(f"'{result.model}'" for result in results if note in result.notes)
        session.note(note.format(named))
    require_measured(results)


def _load(models: Sequence[str], session: Session) -> dict[str, nn.Module]:
    """Load each model once."""
    from kdcli.errors import ConfigError
    from kdcli.evals.baseline import load

    twice = next((name for i, name in enumerate(models) if name in models[:i]), None)
    if twice is not None:
        raise ConfigError(f"model '{twice}' is named twice; name each once")
    return {name: load(name, session.device) for name in models}


def _reference(text: str, networks: dict[str, nn.Module], session: Session) -> Reference:
    """Load the model that others are held against, unless it is one of them."""
    from kdcli.errors import ConfigError
    from kdcli.evals.baseline import NAME
    from kdcli.evals.reference import Reference
    from kdcli.models import load_model

    if text == NAME:
        raise ConfigError(f"--against {NAME} is no teacher: it needs ground truth; give teacher:SPEC")
    model = networks[text] if text in networks else load_model(text, session.device)
    return Reference(model=model, name=text)


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


def _write_report(
    path: Path, results: list[Result], networks: dict[str, nn.Module], source: object, reference: Reference | None
) -> None:
    from kdcli.report.evaluation import write_evaluation

    write_evaluation(path, results, networks, source, against=reference)


def _show(session: Session, results: list[Result]) -> None:
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
             perturbed_rows(results), skipped_rows(results, most=10)]
    if len(results) > 1:
        parts.insert(3, paired_rows(results))
    shown = [(columns, rows) for columns, rows in parts if rows]
    against = results[0].against
    title = None if against is None else f"fidelity to {against} (not accuracy)"
    for i, (columns, rows) in enumerate(shown):
        if i:
            say()
        session.table(columns, rows, title=title if i == 0 else None)
    if len({result.protocol.hash for result in results}) > 1:
        session.note("note: the models were aligned or read out differently, as their depth kinds and authors want; "
                     "--align and modifiers of --protocol (+no-flip, +bilinear) name one way for all")
