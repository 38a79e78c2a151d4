"""How training looks on a terminal and in a log, and the table at its end."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdcli.cli.pace import Pace
from kdcli.cli.ui import Session, laid, say
from kdcli.text import CELL, block, line
from kdcli.watching.drawing import duration

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from kdcli.choosing import Choice
    from kdcli.config import RunConfig
    from kdcli.training.loop.train import StepLog

PLAIN_EVERY = 10.0
"""Seconds between progress lines where standard error is no terminal."""


class TrainingProgress:
    """Tells how runs are getting on: bars on a terminal, plain lines elsewhere, nothing with ``--quiet``.

    bars: how many there are at once, the latest ones.
    """

    def __init__(self, session: Session, *, bars: int = 1) -> None:
        self._session, self._most = session, bars
        self._stack = ExitStack()
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._last = 0.0
        self._pace = Pace()
        self._said = time.monotonic()

    def __enter__(self) -> TrainingProgress:
        if sys.stderr.isatty() and not self._session.quiet:
            self._bars = self._stack.enter_context(self._session.progress())
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def note(self, message: str) -> None:
        """Say what begins or ended."""
        self._said = time.monotonic()
        if self._bars is not None:
            self._bars.console.print(laid(block(message), sys.stderr), markup=False)
        else:
            self._session.note(message)

    def step(self, log: StepLog) -> None:
        """Show a training step."""
        terms = " ".join(f"{name} {value:.4f}" for name, value in log.terms.items())
        note = f"loss {log.loss:.4f} ({terms}) {log.images_per_second:.3g} images/s"
        what = f"{log.variant} {log.stage}"
        # The first step that is told is the first that this process did, since it said that the stage begins.
        self._pace.see(what, log.step, begun=(log.step - 1, self._said))
        self._show(what, log.step, log.total, note)

    def count(self, what: str, done: int, total: int) -> None:
        """Show how far a countable job is."""
        self._pace.see(what, done)
        self._show(what, done, total, "")

    def _show(self, what: str, done: int, total: int, note: str) -> None:
        left = partial(self._pace.left, what, total)
        what, note = line(what, CELL), line(note, CELL)
        if self._bars is not None:
            task = self._tasks.pop(what, None)
            if task is None:
                while len(self._tasks) >= self._most:
                    self._bars.remove_task(self._tasks.pop(next(iter(self._tasks))))
                task = self._bars.add_task(what, total=total, note=note, left=left)
            self._tasks[what] = task  # the last one moved stands last
            self._bars.update(task, completed=done, total=total, note=note, left=left)
        elif done >= total or time.monotonic() - self._last > PLAIN_EVERY:
            self._last = time.monotonic()
            seconds = left() if done < total else None
            known = "" if seconds is None else f", {duration(seconds)} left"
            self._session.note(f"  {what} {done}/{total} {note}".rstrip() + known)


def run_table(session: Session, document: dict[str, Any], config: RunConfig) -> None:
    """Print what a finished run comes to: the table, the gain over the twin, where everything is."""
    from kdcli.config.references import roles_of

    label = config.twin.label if config.twin else "twin"
    names = {**roles_of(config.main), "student": f"student ({config.recipe})", "twin": f"twin ({label})"}
    shown = ("delta1", "abs_rel", "rmse", "silog")
    rows = []
    for role in sorted(document["eval"], key=lambda role: (role == "twin", role == "student", role)):
        result = document["eval"][role]
        rows.append([names.get(role, role), *(_interval(result, metric) for metric in shown), result["n"]])
    if rows:
        first = document["eval"]["student"]
        title = (
            f"{config.eval_data}, protocol {first['protocol']['name']} ({first['protocol']['hash']}), 95 % intervals"
        )
        session.table(["model", *shown, "images"], rows, title=title)
        for pair in first.get("paired", {}).values():
            if pair["against"] == "twin":
                say(_gain(pair))
    for role, results in document.get("fidelity", {}).items():
        if rows:
            say()
        _fidelity(session, results, names, config, role)
    say(f"\nrun      {document['run']}  ({document['seconds']:.0f} s)")
    say(f"student  {document['student']}")
    if document.get("export"):
        say(f"export   {document['export']}  (parity checked)")
    made = [name for name in ("report.html", "picture.png", "images.png") if Path(document["run"], name).is_file()]
    say(f"report   {document['run']}/{', '.join(made)}")


def _fidelity(
    session: Session, results: dict[str, Any], names: dict[str, str], config: RunConfig, teacher: str
) -> None:
    """Print how near student and twin come to a teacher, under a title that says that it is no accuracy."""
    shown, first = ("delta1", "abs_rel", "rmse", "silog"), results["student"]
    rows = [
        [names.get(role, role), *(_interval(result, metric) for metric in shown), result["n"]]
        for role, result in results.items()
    ]
    title = (
        f"fidelity to the {names.get(teacher, teacher)} (not accuracy): held-out images of {config.main.data}, "
        f"protocol {first['protocol']['name']} ({first['protocol']['hash']}), 95 % intervals"
    )
    session.table(["model", *(f"fidelity {metric}" for metric in shown), "images"], rows, title=title)
    for pair in first.get("paired", {}).values():
        if pair["against"] == "twin":
            say(_gain(pair, "fidelity delta1", ("nearer to the teacher", "farther from the teacher")))


def dry_run(session: Session, choice: Choice) -> None:
    """Print what was chosen, the resolved recipe with origins, and what one real step costs."""
    from kdcli.config import dump
    from kdcli.training.run.choice import told as told_of
    from kdcli.training.run.dry_run import measure

    config = choice.config
    told = measure(config, session.device, built=choice.built, fits=True)

    def human() -> None:
        if config.reasons:
            say(told_of(config) + "\n")
        say(dump(config), whole=True)
        if "holdout" in told:
            held = told["holdout"]
            say(f"held out: {held['held_out']} of {held['images']} images of {held['data']}, {held['rule']}")
        _costs(session, told, config)
        for row in told["stages"]:
            terms = ", ".join(f"{name} {value:.4g}" for name, value in row["terms"].items())
            say(f"{row['stage']}: terms at the first step: {terms}")
            if "teacher_cache" in row:
                cache = row["teacher_cache"]
                say(
                    f"{row['stage']}: teacher cache of {cache['images']} images, {cache['missing']} to be asked for, "
                    f"about {cache['seconds'] / 60:.1f} min, at most {cache['bytes'] / 1e9:.3g} GB in "
                    f"{', '.join(cache['folders'])}"
                )
        disk = told["disk"]
        say(f"files: at most {disk['total'] / 1e6:,.0f} MB, {disk['checkpoints'] / 1e6:,.0f} of them checkpoints")
        for name, count in told["parameters"].items():
            say(f"{name}: {count:,} parameters")

    session.result(told, human)


def _costs(session: Session, told: dict[str, Any], config: RunConfig) -> None:
    """Print what each stage costs, and all of them."""
    by_name = {row["stage"]: row for row in (*told["fits"], *told["stages"])}
    rows = [
        (
            stage.name, f"{row['steps']:,}", f"{row['seconds_per_step'] * 1000:.0f} ms", duration(row["seconds"]),
            f"{row['steps_per_epoch']:,}" if "steps_per_epoch" in row else "",
            f"{row['trained_parameters']:,}", f"{row['memory_mib']:,.0f}", f"{row['teacher_images']:,}",
        )
        for stage in config.stages if (row := by_name.get(stage.name)) is not None
    ]  # fmt: skip
    total = told["total"]
    rows.append(("total", f"{total['steps']:,}", "", duration(total["seconds"]), "", "", f"{total['memory_mib']:,.0f}",
                 f"{total['teacher_images']:,}"))
    columns = ("stage", "steps", "a step", "takes", "steps an epoch", "parameters", "peak MiB", "teacher images")
    session.table(columns, rows)
    if config.twin is not None:
        both = duration(total["seconds_with_twin"])
        say(f"with the twin, which is taken to be as slow: about {both}; evaluation and export come on top")


def _interval(result: dict[str, Any], metric: str) -> str:
    low, high = result["ci95"][metric]
    value = result["metrics"][metric]
    if value is None:
        return "-"  # no image was measured
    return f"{value:.3f}" if low is None else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _gain(pair: dict[str, Any], what: str = "delta1", words: tuple[str, str] = ("better", "worse")) -> str:
    gain, (low, high) = pair["difference"]["delta1"], pair["ci95"]["delta1"]
    if gain is None:
        return f"{what} of student minus twin: no image was measured of both"
    if low is None:
        return f"{what} of student minus twin: {gain:+.3f}; one image gives no interval"
    better, worse = (f"{word} than its twin" for word in words)
    verdict = better if low > 0 else worse if high < 0 else "not told apart from its twin"
    return f"{what} of student minus twin, paired: {gain:+.3f} [{low:+.3f}, {high:+.3f}]: {verdict}"
