"""Check loggers: a short run is told, interrupted, told again from its checkpoint, and fails once."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from kdcli.protocols import Logger
from kdcli.records import RunRecord, StepRecord
from kdcli.testing.make import Subject, subject
from kdcli.testing.report import Report, Test, expect, run

STEPS = {"student": 4, "twin": 2}


def check_logger(target: Any, *, options: Mapping[str, Any] | None = None, skip: Collection[str] = (), seed: int = 0,
                 strict: bool = True) -> Report:
    """Check a logger: a spec, a factory with its options, or an object. Give one that reaches no server of yours.

    Raises:
        ConformanceError: something does not hold, and ``strict`` is set.
    """
    it = subject("logger", target, options, seed=seed)
    return run("logger", it.name, LoggerChecks(it).tests(), plugin=it.build, skip=skip, strict=strict)


class LoggerChecks:
    """The checks of one logger."""

    def __init__(self, it: Subject) -> None:
        self.it = it

    def tests(self) -> list[Test]:
        """Return the checks in order."""
        return [("contract", self.contract), ("a whole run", self.whole), ("goes on", self.goes_on),
                ("failed run", self.failed), ("odd names", self.odd_names), ("keeps to its folder", self.own_folder)]

    def contract(self) -> None:
        """Expect the declared members, and no file before a run begins."""
        self.it.check_version()
        with _desk() as folder:
            logger = self.it.build()
            expect(isinstance(logger, Logger), "lacks one of begin, step, results, picture, end")
            expect(list(Path.cwd().rglob("*")) == [folder],
                   "writes files when it is made; begin(run) is when a run has begun")

    def whole(self) -> str:
        """Expect a run with its twin to be taken, without a word on standard output."""
        with _desk() as folder:
            logger = self.it.build()
            _told(lambda: _run(logger, folder, resumed=False, kept={}))
            where = getattr(logger, "where", "")
            expect(isinstance(where, str), f"where is {type(where).__name__}, not a text")
            return where.replace(str(folder), "RUN")

    def goes_on(self) -> None:
        """Expect a run that was stopped to go on with what was kept, and steps to be told again."""
        with _desk() as folder:
            kept: dict[str, str] = {}

            def stopped() -> None:
                logger = self.it.build()
                logger.begin(_record(folder, resumed=False, kept=kept))
                for number in (1, 2, 3):
                    logger.step(_step("student", number))
                logger.end("interrupted", "")

            _told(stopped)
            sound = all(isinstance(part, str) for pair in kept.items() for part in pair)
            expect(sound, f"keeps {kept!r}: kept takes texts by name")
            _told(lambda: _run(self.it.build(), folder, resumed=True, kept=dict(kept), again=3))

    def failed(self) -> None:
        """Expect the end of a run that failed, also of one that was told nothing but its beginning."""
        with _desk() as folder:
            logger = self.it.build()

            def short() -> None:
                logger.begin(_record(folder, resumed=False, kept={}))
                logger.end("failed", "the loss of stage 'main' is not a number at step 3")

            _told(short)

    def odd_names(self) -> None:
        """Expect names of losses with options, of stages and of models as users write them."""
        with _desk() as folder:
            logger = self.it.build()

            def odd() -> None:
                logger.begin(_record(folder, resumed=False, kept={}))
                terms = {"affine-invariant,shift=no:map %": 0.5, "a/b c": 1.0, "\u00e4": 2.0}
                logger.step(StepRecord(variant="student", stage="two words", step=1, total=1, global_step=1,
                                       loss=float("inf"), terms=terms))
                logger.results("eval", {"teacher 2": {"delta1": 0.9}})
                logger.end("finished", "")

            _told(odd)

    def own_folder(self) -> None:
        """Expect what is the run's to be left alone, and nothing in the working directory."""
        with _desk() as folder:
            known = {"manifest.json": b"{}\n", "metrics.jsonl": b'{"step": 1}\n'}
            for name, content in known.items():
                (folder / name).write_bytes(content)
            logger = self.it.build()
            _told(lambda: _run(logger, folder, resumed=False, kept={}))
            for name, content in known.items():
                there = (folder / name).is_file() and (folder / name).read_bytes() == content
                expect(there, f"changes {name}, which is the run's")
            strange = [one.name for one in Path.cwd().iterdir() if one.name != folder.name]
            expect(not strange, f"leaves {', '.join(strange)} in the working directory; write into run.folder")


def _run(logger: Any, folder: Path, *, resumed: bool, kept: dict[str, str], again: int = 0) -> None:
    logger.begin(_record(folder, resumed=resumed, kept=kept))
    for variant, steps in STEPS.items():
        for number in range(2 if resumed and variant == "student" else 1, steps + 1):
            logger.step(_step(variant, number, repeated=variant == "student" and number <= again))
    logger.results("eval", {"student": {"delta1": 0.9, "abs_rel": 0.1}, "twin": {"delta1": 0.8, "abs_rel": 0.2}})
    Image.new("RGB", (8, 6)).save(folder / "picture.png")
    logger.picture("picture", folder / "picture.png")
    logger.end("finished", "")


def _record(folder: Path, *, resumed: bool, kept: dict[str, str]) -> RunRecord:
    config = {"recipe": "toy", "student": "mobilenet", "seed": 0, "eval_size": [32, 48], "eval_data": None,
              "stages": [{"name": "main", "steps": 4, "lr": 1e-3, "losses": [["l1", 1.0]], "crop": None}], "twin": None}
    return RunRecord(name="run", group="a-study", folder=folder, config=config, steps=STEPS, resumed=resumed, kept=kept,
                     facts={"state": "running", "versions": {"kdcli": "1"}})


def _step(variant: str, number: int, *, repeated: bool = False) -> StepRecord:
    return StepRecord(
        variant=variant, stage="main", step=number, total=STEPS[variant], global_step=number, loss=1.0 / number,
        terms={"l1": 1.0 / number}, notes={"object.share": 0.5}, further={"lr": 1e-3, "images_per_second": 10.0},
        repeated=repeated,
    )


def _told(doing: Callable[[], None]) -> None:
    """Do something as a run does: in one other thread. What it raises is raised here."""
    errors: list[BaseException] = []

    def work() -> None:
        try:
            doing()
        except BaseException as error:
            errors.append(error)

    before, printed = sys.stdout, io.StringIO()
    hooks = sys.exit, sys.excepthook
    try:
        sys.stdout = printed
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    finally:
        sys.stdout = before
    if errors:
        raise errors[0]
    expect(not printed.getvalue(), f"prints {printed.getvalue()[:60]!r} on standard output, where results belong")
    now = sys.exit, sys.excepthook
    sys.exit, sys.excepthook = hooks
    expect(now == hooks, "leaves another sys.exit or sys.excepthook behind")


@contextlib.contextmanager
def _desk() -> Iterator[Path]:
    """Work in an empty folder and give the run folder in it."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="kdcli-kit-") as desk:
        os.chdir(desk)
        try:
            folder = Path(desk).resolve() / "run"
            folder.mkdir()
            yield folder
        finally:
            os.chdir(before)
