"""What a run tells its loggers: its beginning, its logged steps, results, pictures and its end.

``loggers.json`` in the run folder holds what they want to find again when the run goes on.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import distributed

from kdcli.config import RunConfig
from kdcli.documents import Each, read_json
from kdcli.errors import DataError, KdcliError
from kdcli.files import write_json
from kdcli.plugins import registry
from kdcli.protocols import Logger
from kdcli.records import RunRecord, StepRecord
from kdcli.training.loop.train import StepLog
from kdcli.training.run.folder import RunFolder
from kdcli.training.run.telling import Teller

KEPT = "loggers.json"
AUTO = "auto"
END = 60.0
"""Seconds that a finished run waits for its loggers: somebody's upload."""
STOPPED = 1.5
"""Seconds that one waits which was asked to stop, or that failed."""

Plan = Mapping[tuple[str, str], int]
"""Updates by variant and stage, in order."""


def build_loggers(config: RunConfig, *, resumed: bool, note: Callable[[str], None]) -> dict[str, Logger]:
    """Make the loggers that a run names, by their specs; none on any process but the first.

    Raises:
        ConfigError, PluginError: one cannot be made. Of a run that goes on that is a note: its steps are worth more.
    """
    if distributed.is_available() and distributed.is_initialized() and distributed.get_rank() != 0:
        return {}
    made: dict[str, Logger] = {}
    for spec in asked(config.loggers):
        try:
            made[spec] = registry.build("logger", spec)
        except KdcliError as error:
            if not resumed:
                raise
            note(f"logger '{spec}' is left out: {error}")
    return made


def asked(specs: tuple[str, ...]) -> list[str]:
    """Return the specs of loggers with ``auto`` resolved: ``tensorboard`` where the package is installed."""
    found: list[str] = []
    for spec in specs:
        if spec == AUTO:
            there = find_spec("tensorboard") is not None and "tensorboard" in registry.names("logger")
            found += ["tensorboard"] if there and "tensorboard" not in specs else []
        else:
            found.append(spec)
    return list(dict.fromkeys(found))


class Loggers:
    """The loggers of a run. They begin when there is the first thing to tell; nothing is written before."""

    def __init__(self, loggers: Mapping[str, Logger], note: Callable[[str], None]) -> None:
        self._made, self._note = loggers, note
        self._tellers: list[Teller] = []
        self._said: set[tuple[str, str]] = set()
        self._begin: Callable[[], None] | None = None
        self._plan: Plan = {}

    @contextlib.contextmanager
    def watching(self, run: RunFolder, config: RunConfig, *, resumed: bool) -> Iterator[None]:
        """Tell how what happens in the block ends."""
        self._begin = lambda: self._start(run, config, resumed=resumed)
        try:
            yield
        except KeyboardInterrupt:
            self._end("interrupted", "", STOPPED)
            raise
        except BaseException as error:
            self._end("failed", " ".join(str(error).split())[:500], STOPPED)
            raise
        self._end("finished", "", END)

    def plan(self, plan: Plan) -> None:
        """Take the updates of the run's stages; before the first step."""
        self._plan = plan

    def step(self, log: StepLog, *, repeated: bool = False) -> None:
        """Tell a logged step."""
        further = {"lr": log.lr, "grad_norm": log.grad_norm, "images_per_second": log.images_per_second}
        further |= {"scale": log.scale} if log.scale is not None else {}
        further |= {"scale_spread": log.scale_spread} if log.scale_spread is not None else {}
        self._tell("step", StepRecord(
            variant=log.variant, stage=log.stage, step=log.step, total=log.total,
            global_step=self._before(log.variant, log.stage) + log.step, loss=log.loss, terms=dict(log.terms),
            notes=dict(log.notes), further=further, repeated=repeated,
        ))

    def fitted(self, variant: str, stage: str, step: int, total: int, loss: float) -> None:
        """Tell a step of a stage that fits a transformation network."""
        self._tell("step", StepRecord(
            variant=variant, stage=stage, step=step, total=total, global_step=self._before(variant, stage) + step,
            loss=loss,
        ))

    def results(self, what: str, documents: Mapping[str, Any]) -> None:
        """Tell metrics, of result documents by model."""
        numbers = {
            model: {name: float(value) for name, value in document["metrics"].items() if value is not None}
            for model, document in documents.items()
        }
        if numbers:
            self._tell("results", what, numbers)

    def pictures(self, folder: Path, names: tuple[str, ...]) -> None:
        """Tell those pictures of a run folder that were drawn."""
        for name in names:
            if (folder / f"{name}.png").is_file():
                self._tell("picture", name, folder / f"{name}.png")

    def _before(self, variant: str, stage: str) -> int:
        """Return the updates of the stages before one."""
        total = 0
        for (whose, name), steps in self._plan.items():
            if whose == variant:
                if name == stage:
                    break
                total += steps
        return total

    def _tell(self, method: str, *given: Any) -> None:
        if self._begin is not None:
            self._begin()
            self._begin = None
        for teller in self._tellers:
            teller.tell(method, *given)
        self._say()

    def _start(self, run: RunFolder, config: RunConfig, *, resumed: bool) -> None:
        if not self._made:
            return
        path = run.path / KEPT
        known = _read(path)
        name, group = named(run.path)
        steps: dict[str, int] = {}
        for (variant, _), count in self._plan.items():
            steps[variant] = steps.get(variant, 0) + count
        facts, told = run.manifest(), plain(config)
        lasting = {spec: dict(known.get(spec, {})) for spec in self._made}

        def keep() -> None:
            with contextlib.suppress(OSError):  # on a full disk the run itself has more to say
                write_json(path, {spec: store for spec, store in lasting.items() if store})

        for spec, logger in self._made.items():
            teller = Teller(spec.partition(",")[0], logger)
            record = RunRecord(
                name=name, group=group, folder=run.path.absolute(), config=told, facts=facts, steps=steps,
                resumed=resumed, kept=lasting[spec],
            )
            teller.tell("begin", record)
            teller.then(keep)
            self._tellers.append(teller)

    def _end(self, state: str, message: str, seconds: float) -> None:
        self._begin = None
        for teller in self._tellers:
            teller.tell("end", state, message)
            teller.close()
        end = time.monotonic() + seconds
        for teller in self._tellers:
            if not teller.wait(end) and teller.trouble is None:
                teller.trouble = f"it did not come to its end within {seconds:g} s"
        self._say()

    def _say(self) -> None:
        """Say what the loggers' threads have come to; here, since notes are the main thread's."""
        for teller in self._tellers:
            told = {"where": teller.where and f"logger '{teller.label}': {teller.where}"}
            told["trouble"] = teller.trouble and (
                f"logger '{teller.label}' is left out from here on: {teller.trouble}; nothing else is touched, and "
                "metrics.jsonl has all of the run's numbers"
            )
            for kind, text in told.items():
                if text and (teller.label, kind) not in self._said:
                    self._said.add((teller.label, kind))
                    self._note(text)


def named(folder: Path) -> tuple[str, str | None]:
    """Return what loggers call a run, and the study that it belongs to, if any."""
    whole = folder.absolute()
    for parent in list(whole.parents)[:4]:
        if parent.name == "cells" and (parent.parent / "study.json").is_file():
            return whole.relative_to(parent).as_posix(), parent.parent.name
    return whole.name, None


def plain(config: RunConfig) -> dict[str, Any]:
    """Return a configuration as values of JSON, without where they came from."""
    told = {key: value for key, value in asdict(config).items() if key not in ("origins", "reasons")}
    document: dict[str, Any] = json.loads(json.dumps(told, default=str))
    return document


def _read(path: Path) -> dict[str, dict[str, str]]:
    """Return what loggers kept; nothing where that is damaged: a new log begins."""
    if not path.is_file():
        return {}
    try:
        found: dict[str, dict[str, str]] = read_json(path, Each(Each(str)), "")
    except DataError:
        return {}
    return found
