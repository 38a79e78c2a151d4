"""``kdcli bench``: how long models and exported files take on this machine, side by side; with a recipe, a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kdcli.cli import complete, kept
from kdcli.cli.ui import Session, command, say

if TYPE_CHECKING:
    from kdcli.benching import Report
    from kdcli.benching.accuracy import Accuracy
    from kdcli.benching.job import Progress

Models = Annotated[list[str] | None, typer.Argument(
    metavar="MODEL", help="Run folders, .safetensors students, hf:ORG/NAME, exported files of any format, "
    "teacher:SPEC, or student:SPEC (its weights are those it begins with, on which time does not depend). "
    "Ratios are to the first.",
)]
Against = Annotated[list[Path] | None, typer.Option(
    "--against", metavar="FILE.onnx", help="Anybody's ONNX network of one image, measured beside; may be given again.",
)]
Formats = Annotated[str | None, typer.Option(
    "--formats", metavar="LIST", help="Also write each model as onnx,openvino:fp16,..., or all, and measure those that "
    "give its numbers.",
)]
Size = Annotated[str | None, typer.Option("--size", help="HxW of the images; else what the first model was made for.")]
Batch = Annotated[int | None, typer.Option(
    "--batch", help="Images at a time: one of models, of a recipe its own number, unless given.", min=1,
)]
Threads = Annotated[int | None, typer.Option(
    "--threads", help="Of PyTorch and of every runtime; all cores, or OMP_NUM_THREADS, unless given.", min=1,
)]
Runs = Annotated[int | None, typer.Option(
    "--runs", help="Rounds, in each of which all are measured once: 30 of models, 9 of a recipe.", min=1,
)]
Warmup = Annotated[int, typer.Option("--warmup", help="Rounds before them that do not count.", min=0)]
Evaluated = Annotated[list[Path] | None, typer.Option(
    "--eval", metavar="FILE.json", help="What kdcli eval --json printed: the column of accuracy. A run has its own.",
)]
Plot = Annotated[Path | None, typer.Option(
    "--plot", metavar="FILE.png", help="Draw accuracy over latency, as PNG or SVG.", dir_okay=False,
)]
Recipe = Annotated[str | None, typer.Option(
    "--recipe", help="Instead of models a step of a recipe's training, part by part, beside other loops; a name, a "
    "TOML file or auto.", autocompletion=complete.recipe,
)]
Teacher = Annotated[list[str] | None, typer.Option(
    "--teacher", help="Of the recipe, as kdcli distill takes it.", autocompletion=complete.teacher,
)]
Student = Annotated[str | None, typer.Option(
    "--student", help="Of the recipe.", autocompletion=complete.student,
)]
Data = Annotated[str | None, typer.Option("--data", help="Of the recipe.", autocompletion=complete.source)]
Set = Annotated[list[str] | None, typer.Option(
    "--set", help="KEY=VALUE or STAGE.KEY=VALUE of the recipe; repeat for several.",
)]
NoMemory = Annotated[bool, typer.Option("--no-memory", help="Leave out peak memory, which takes a process for each.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "bench", seed="recipe", example=(
        "kdcli bench runs/small runs/small/student.onnx teacher:adabins",
        "kdcli bench student:mobilenet student:mobilenet,width=0.5 --size 240x320",
        "kdcli bench --recipe data-free",
    ))(bench)


def bench(
    session: Session, models: Models = None, against: Against = None, formats: Formats = None, size: Size = None,
    batch: Batch = None, threads: Threads = None, runs: Runs = None, warmup: Warmup = 3, evaluated: Evaluated = None,
    plot: Plot = None, no_memory: NoMemory = False, recipe: Recipe = None, teacher: Teacher = None,
    student: Student = None, data: Data = None, set_: Set = None,
) -> None:  # fmt: skip
    """Measure how long models and exported files take on this machine, side by side, and what they cost.

    With --recipe: how long the parts of a step of training take, beside its networks alone and other loops. All are
    measured in turn, so that a busy machine hits them alike; what counts are the ratios.
    """
    from kdcli.benching.accuracy import read_evaluations
    from kdcli.benching.clock import Stopped
    from kdcli.benching.job import bench as measure
    from kdcli.benching.written import parse_formats
    from kdcli.config.sizes import check_batch
    from kdcli.spec import parse_size

    of_models = {"--against": against, "--formats": formats, "--eval": evaluated, "--plot": plot,
                 "--no-memory": no_memory}
    of_recipe = {"teachers": tuple(teacher) if teacher else None, "student": student, "data": data}
    _require_one(models, recipe, of_models, {**of_recipe, "set": set_})
    _require_threads(threads)
    if recipe is not None:
        flags = {**of_recipe, "batch_size": batch, "size": parse_size(size) if size and size != "auto" else size,
                 "seed": session.seed_given}
        _step(session, recipe, flags, set_ or (), threads, runs or 9, warmup)
        return
    assert models is not None
    shape, batch, runs = None if size is None else parse_size(size), batch or 1, runs or 30
    check_batch(batch, shape, f"--batch {batch}")
    _require_once(models, against or [])
    chosen, known = parse_formats(formats), read_evaluations(evaluated or [])
    _require_plot(plot, [*models, *map(str, against or [])], known)
    session.keeps(kept.files(plot))
    with session.progress(still=True) as bar:
        try:
            report = measure(
                models, against=against or [], formats=chosen, size=shape, batch=batch, threads=threads, rounds=runs,
                warmup=warmup, device=session.device, evaluations=known, memory=not no_memory,
                progress=_rounds(bar, warmup + runs),
            )
        except Stopped as stopped:
            bar.stop()
            _tell(session, stopped.report, plot)
            session.keeps(lambda: f"the rounds that were done are told; {kept.ANEW}")
            raise
    _tell(session, report, plot)
    if report.failed:
        first = report.failed[0]
        raise type(first.error)(f"{first.name}: {first.reason}") from first.error


def _rounds(bar: Any, total: int) -> Progress:
    """Return what shows so many rounds in a bar."""
    from kdcli.benching.job import Progress

    task = bar.add_task("", total=total, note="")

    def tell(text: str) -> None:
        bar.update(task, description=text)
        bar.refresh()

    def count() -> None:
        bar.advance(task)
        bar.refresh()

    return Progress(say=tell, round=count)


def _step(
    session: Session, recipe: str, flags: Mapping[str, Any], settings: Sequence[str], threads: int | None, runs: int,
    warmup: int,
) -> None:
    """Measure a step of a recipe's training, and tell."""
    from kdcli.benching.step import bench_step
    from kdcli.benching.step_report import loops_table, parts_table, remarks, title
    from kdcli.choosing import choose
    from kdcli.devices import keep_freed_memory

    choice = choose(recipe, flags, settings, twin=False)
    if session.device.type == "cpu":
        keep_freed_memory()  # as training does
    with session.progress(still=True) as bar:
        report = bench_step(
            choice.config, session.device, rounds=runs, warmup=warmup, threads=threads, built=choice.built,
            progress=_rounds(bar, warmup + runs),
        )

    def show() -> None:
        session.table(*loops_table(report), title=title(report))
        session.table(*parts_table(report))
        for note in remarks(report):
            session.note(f"note: {note}")

    session.result(report.document(), show)


def _require_one(
    models: Sequence[str] | None, recipe: str | None, of_models: Mapping[str, Any], of_recipe: Mapping[str, Any]
) -> None:
    """Refuse what belongs to models beside a recipe, and the other way round.

    Raises:
        ConfigError: it is given, or there is nothing to measure.
    """
    from kdcli.errors import ConfigError

    if recipe is None:
        given = next((f"--{key.removesuffix('s')}" for key, value in of_recipe.items() if value), None)
        if given is not None:
            raise ConfigError(f"{given} belongs to --recipe, which is not given; add --recipe plain, for example")
        if not models:
            raise ConfigError("there is nothing to measure; name models, or a recipe with --recipe")
        return
    given = f"model '{models[0]}'" if models else next((key for key, value in of_models.items() if value), None)
    if given is not None:
        raise ConfigError(f"{given} does not go with --recipe '{recipe}', which measures a step of training; leave one "
                          "of the two out")


def _tell(session: Session, report: Report, plot: Path | None) -> None:
    """Give the result, and draw it."""
    if plot is not None:
        from kdcli.benching.plot import plot as draw

        draw(report, plot)
    session.result(report.document(), lambda: _show(session, report))
    if plot is not None:
        session.note(f"wrote {plot}")


def _show(session: Session, report: Report) -> None:
    from kdcli.benching.table import remarks, table, title

    columns, rows = table(report)
    session.table(columns, rows, title=title(report))
    if report.rounds < report.asked:
        say(f"interrupted: {report.rounds} of {report.asked} rounds")
    for note in remarks(report):
        session.note(f"note: {note}")
    for failed in report.failed[1:]:  # the first is told as the error
        session.note(f"not measured: {failed.name}: {failed.reason}")


def _require_once(models: Sequence[str], against: Sequence[Path]) -> None:
    """Refuse one thing under two rows.

    Raises:
        ConfigError: a name stands there twice, or is empty.
    """
    from kdcli.errors import ConfigError

    names = [*models, *map(str, against)]
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise ConfigError(f"model '{twice}' is named twice; name each once")


def _require_threads(threads: int | None) -> None:
    """Refuse more threads than cores, which measures how they wait for one another.

    Raises:
        ConfigError: there are.
    """
    from kdcli.errors import ConfigError
    from kdcli.limits.cores import cores

    usable = cores()
    if threads is not None and threads > usable:
        raise ConfigError(f"--threads {threads} is more than the {usable} cores that this process may use; give fewer")


def _require_plot(plot: Path | None, models: Sequence[str], known: Sequence[Accuracy]) -> None:
    """Refuse a picture that could not be drawn or written, and evaluations that are of nothing here.

    Raises:
        ConfigError: there is no accuracy to draw.
    """
    from kdcli.benching.accuracy import own_evaluation
    from kdcli.benching.plot import require_plot
    from kdcli.errors import ConfigError
    from kdcli.files import require_writable

    named = [one for one in known if any(map(one.is_of, models))]
    if known and not named:
        raise ConfigError(f"--eval has {', '.join(dict.fromkeys(one.model for one in known))}, none of which is "
                          "measured here; name models as kdcli eval was given them")
    if plot is None:
        return
    require_plot(plot)
    require_writable(plot)
    if not named and not any(own_evaluation(model) for model in models):
        raise ConfigError(f"--plot '{plot}' has no accuracy to draw; give --eval FILE.json, or a run that was measured")
