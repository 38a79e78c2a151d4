"""``kdcli bench``: how long models and exported files take on this machine, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kdcli.cli.ui import Session, command, say

if TYPE_CHECKING:
    from kdcli.benching import Report
    from kdcli.benching.accuracy import Accuracy

Models = Annotated[list[str], typer.Argument(
    metavar="MODEL", help="Run folders, .safetensors students, exported files of any format, teacher:SPEC, or "
    "student:SPEC (its weights are those it begins with, on which time does not depend). Ratios are to the first.",
)]
Against = Annotated[list[Path] | None, typer.Option(
    "--against", metavar="FILE.onnx", help="Anybody's ONNX network of one image, measured beside; may be given again.",
)]
Formats = Annotated[str | None, typer.Option(
    "--formats", metavar="LIST", help="Also write each model as onnx,openvino:fp16,..., or all, and measure those that "
    "give its numbers.",
)]
Size = Annotated[str | None, typer.Option("--size", help="HxW of the images; else what the first model was made for.")]
Batch = Annotated[int, typer.Option("--batch", help="Images at a time.", min=1)]
Threads = Annotated[int | None, typer.Option(
    "--threads", help="Of PyTorch and of every runtime; all cores, or OMP_NUM_THREADS, unless given.", min=1,
)]
Runs = Annotated[int, typer.Option("--runs", help="Rounds, in each of which all are measured once.", min=1)]
Warmup = Annotated[int, typer.Option("--warmup", help="Rounds before them that do not count.", min=0)]
Evaluated = Annotated[list[Path] | None, typer.Option(
    "--eval", metavar="FILE.json", help="What kdcli eval --json printed: the column of accuracy. A run has its own.",
)]
Plot = Annotated[Path | None, typer.Option(
    "--plot", metavar="FILE.png", help="Draw accuracy over latency, as PNG or SVG.", dir_okay=False,
)]
NoMemory = Annotated[bool, typer.Option("--no-memory", help="Leave out peak memory, which takes a process for each.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "bench", seed=False, example=(
        "kdcli bench runs/small runs/small/student.onnx teacher:adabins",
        "kdcli bench student:mobilenet student:mobilenet,width=0.5 --size 240x320",
    ))(bench)


def bench(
    session: Session, models: Models, against: Against = None, formats: Formats = None, size: Size = None,
    batch: Batch = 1, threads: Threads = None, runs: Runs = 30, warmup: Warmup = 3, evaluated: Evaluated = None,
    plot: Plot = None, no_memory: NoMemory = False,
) -> None:  # fmt: skip
    """Measure how long models and exported files take on this machine, side by side, and what they cost.

    All are measured in turn, so that a busy machine hits them alike; what counts are the ratios.
    """
    from kdcli.benching.accuracy import read_evaluations
    from kdcli.benching.clock import Stopped
    from kdcli.benching.job import Progress
    from kdcli.benching.job import bench as measure
    from kdcli.benching.written import parse_formats
    from kdcli.config.sizes import check_batch
    from kdcli.spec import parse_size

    shape = None if size is None else parse_size(size)
    check_batch(batch, shape, f"--batch {batch}")
    _require_once(models, against or [])
    _require_threads(threads)
    chosen, known = parse_formats(formats), read_evaluations(evaluated or [])
    _require_plot(plot, [*models, *map(str, against or [])], known)
    with session.progress(still=True) as bar:
        task = bar.add_task("", total=warmup + runs, note="")

        def tell(text: str) -> None:
            bar.update(task, description=text)
            bar.refresh()

        def count() -> None:
            bar.advance(task)
            bar.refresh()

        try:
            report = measure(
                models, against=against or [], formats=chosen, size=shape, batch=batch, threads=threads, rounds=runs,
                warmup=warmup, device=session.device, evaluations=known, memory=not no_memory,
                progress=Progress(say=tell, round=count),
            )
        except Stopped as stopped:
            bar.stop()
            _tell(session, stopped.report, plot)
            raise
    _tell(session, report, plot)
    if report.failed:
        first = report.failed[0]
        raise type(first.error)(f"{first.name}: {first.reason}") from first.error


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
    import os

    from kdcli.errors import ConfigError

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if threads is not None and threads > cores:
        raise ConfigError(f"--threads {threads} is more than the {cores} cores that this process may use; give fewer")


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
