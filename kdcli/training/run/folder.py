"""The run folder: everything a distillation made, enough to repeat it.

::

    config.toml      the resolved recipe, each value with its origin; runs again with --recipe
    manifest.json    versions, seed, device, teachers with sha256 and licence, argv, protocol hash, state
    metrics.jsonl    one line per logged step
    checkpoints/     state.pt of the stage under way, and the last ones before it where several are kept;
                     transform.fit.pt of the fit
    transform.safetensors, student.safetensors, student.onnx
    transform-layers.png, transform-images.png
    stages/          networks that earlier stages trained for later ones, or losses along with the student, as
                     students' files
    twin/            the run without the method: student.safetensors
    eval/            results.json, per_image.csv
    fidelity/        the same against the teacher on images that were held out: no accuracy
    report.html  picture.png  log.txt
    loggers.json     what loggers want to find again; what they write lies in folders of their names
"""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kdcli.config import RunConfig, dump, load
from kdcli.documents import read_text
from kdcli.drafts import Lost, clean, is_draft, require_owned, whole_folder
from kdcli.errors import ConfigError, DataError, code_of
from kdcli.files import write_json, write_text
from kdcli.locks import NAME as LOCK
from kdcli.locks import only_one, owner
from kdcli.processes import myself
from kdcli.text import block
from kdcli.training.loop import kept as kept_checkpoints
from kdcli.training.loop.train import StepLog
from kdcli.training.run import metrics
from kdcli.training.run.environment import environment
from kdcli.training.run.manifest import read_manifest
from kdcli.training.run.results import RUN, file_of, order_file

RUNS = Path("runs")


class RunFolder:
    """Paths and records of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def student(self) -> Path:
        """The finished student; exists only when training is done."""
        return self.path / "student.safetensors"

    @property
    def twin(self) -> Path:
        """The finished twin."""
        return self.path / "twin" / "student.safetensors"

    def stage(self, name: str) -> Path:
        """What a stage came to that trained another network than the run's student."""
        return self.path / "stages" / f"{name}.safetensors"

    @property
    def transform(self) -> Path:
        """The transformation network fitted by this run."""
        return self.path / "transform.safetensors"

    @property
    def state(self) -> Path:
        """The checkpoint of the stage under way."""
        return self.path / "checkpoints" / "state.pt"

    @property
    def fit_state(self) -> Path:
        """How far the transformation network is, while it is fitted."""
        return self.path / "checkpoints" / "transform.fit.pt"

    @classmethod
    def create(cls, path: Path, config: RunConfig, facts: dict[str, Any]) -> RunFolder:
        """Make the folder with its configuration and manifest.

        Raises:
            ConfigError: the folder already holds something.
        """
        _refuse_taken(path)
        try:
            # Made beside it and renamed: whatever kills the process, a folder that is there is a run that can go on.
            with whole_folder(path) as draft:
                write_text(draft / "config.toml", dump(config), names=True)
                cls(draft).write_manifest(
                    {**environment(), "recipe": config.recipe, "seed": config.seed, **facts, "state": "running"}
                )
        except FileExistsError:
            _refuse_taken(path)  # by another process, in the meantime
            raise
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Open an existing run.

        Raises:
            DataError: no run there.
        """
        if not (path / "config.toml").is_file() or not (path / "manifest.json").is_file():
            raise DataError(f"there is no run at '{path}' (no config.toml and manifest.json); see: kdcli runs list")
        return cls(path)

    def text(self) -> str:
        """Return the recipe that repeats the run.

        Raises:
            DataError: it cannot be read.
        """
        return read_text(self.path / "config.toml", _DAMAGED, names=True)

    def config(self) -> RunConfig:
        """Read the resolved configuration back.

        Raises:
            DataError: it cannot be read. ConfigError: it holds what no recipe does.
        """
        try:
            return load(str(self.manifest()["recipe"]), self.text())
        except ConfigError as error:
            raise type(error)(f"'{self.path / 'config.toml'}' does not hold: {error}") from None

    def manifest(self) -> dict[str, Any]:
        """Read the manifest.

        Raises:
            DataError: it is damaged.
        """
        return read_manifest(self.path / "manifest.json")

    def write_manifest(self, document: dict[str, Any]) -> None:
        """Write the manifest whole."""
        write_json(self.path / "manifest.json", document)

    def update(self, **facts: Any) -> None:
        """Add facts to the manifest."""
        self.write_manifest({**self.manifest(), **facts})

    def begin_again(self) -> None:
        """Write down that a process is at work on it, also on one that was interrupted or failed before."""
        kept = {key: value for key, value in self.manifest().items() if key not in ("error", "exit_code")}
        self.write_manifest({**kept, "state": "running"})

    def log_step(self, log: StepLog) -> None:
        """Append one line to metrics.jsonl."""
        require_owned(self.path)
        metrics.append(self.path / "metrics.jsonl", log)

    def note(self, message: str) -> None:
        """Append a line to log.txt; controls in it are escaped."""
        require_owned(self.path)
        stamp = datetime.datetime.now(datetime.UTC).strftime("%H:%M:%S")
        with (self.path / "log.txt").open("a", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(f"{stamp} {block(message)}\n")

    def metrics(self) -> list[dict[str, Any]]:
        """Read metrics.jsonl; a last line cut short by a crash is left out.

        Raises:
            DataError: a line is no step.
        """
        return metrics.read(self.path / "metrics.jsonl")

    def forget_after(self, variant: str, stage: str, step: int) -> int:
        """Drop metric lines past a checkpoint, so that a resumed run logs each step once; return the last of them."""
        return metrics.forget_after(self.path / "metrics.jsonl", variant, stage, step)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep a second process out of the folder; the lock of one that died is taken over.

        Raises:
            ConfigError: another process works on this run.
        """
        with only_one(self.path):
            clean(self.path)
            yield

    def drop_states(self, config: RunConfig) -> None:
        """Remove the checkpoint and what stages kept for later ones: a finished run has no use for them."""
        require_owned(self.path)
        kept = [file_of(self.state.parent, variant, stage.name) for variant in (RUN, "twin") for stage in config.stages]
        orders = [order_file(self.state.parent, stage.name) for stage in config.stages]
        for path in (self.state, self.fit_state, *kept, *orders):
            path.unlink(missing_ok=True)
        kept_checkpoints.drop(self.state.parent)
        with contextlib.suppress(OSError):
            self.state.parent.rmdir()  # somebody else's files in it stay

    @contextlib.contextmanager
    def ending(self, told: Callable[[str], None]) -> Iterator[None]:
        """Write down how a run ended that did not finish; one that came to nothing leaves no folder behind.

        ``told`` hears how to go on; what it heard is a note of the interruption.
        """
        try:
            yield
        except BaseException as error:
            stopped = isinstance(error, KeyboardInterrupt)
            if owner(self.path) not in (None, myself()):  # another process took it over, and may be done by now
                _tell(told, error, f"'{self.path}' is another process's by now")
                raise
            if self._came_to_nothing():
                _tell(told, error, "nothing was done yet: nothing is kept")
                raise
            why: dict[str, Any] = {} if stopped else {"error": " ".join(str(error).split())[:500]}
            why["exit_code"] = code_of(error)  # what starts several processes ends with 1, however they ended
            with contextlib.suppress(OSError, Lost):  # on a full disk the first error is the one to tell
                self.update(state="interrupted" if stopped else "failed", **why)
            kept, again = getattr(error, "kept", "") or self._kept(), shlex.quote(str(self.path))
            _tell(told, error, f"kept in '{self.path}': {kept}; go on with: kdcli distill --resume {again}")
            raise

    def _kept(self) -> str:
        """Return what a run holds that was stopped in no step, in words."""
        trained = [name for name, path in (("student", self.student), ("twin", self.twin)) if path.is_file()]
        if trained:
            return f"the trained {' and '.join(trained)}"
        if self.fit_state.is_file():
            return "the fit of the transformation network, as far as it came"
        return "the last checkpoint" if self.state.is_file() else "what was written before the first checkpoint"

    def _came_to_nothing(self) -> bool:
        """Remove a run that holds no more than what it began with; whether it did. Other files keep it there."""
        begun = {"config.toml", "manifest.json", "log.txt", LOCK}
        if not all(path.name in begun or is_draft(path.name) for path in self.path.iterdir()):
            return False
        clean(self.path)
        for name in ("manifest.json", "config.toml", "log.txt", LOCK):
            (self.path / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.path.rmdir()
        return True


_DAMAGED = "the run is damaged: start another, or put the file back"


def _tell(told: Callable[[str], None], error: BaseException, sentence: str) -> None:
    """Say what is kept of an interrupted run; the interruption has it as its note, by which one knows that it is said.
    """
    if isinstance(error, KeyboardInterrupt):
        told(sentence)
        error.add_note(sentence)


def _refuse_taken(path: Path) -> None:
    if os.path.lexists(path) and (not path.is_dir() or any(path.iterdir())):
        if (path / "manifest.json").is_file():
            raise ConfigError(f"'{path}' already holds a run; use --resume '{path}' to go on, or another --out")
        what = "already holds something else" if path.is_dir() else "is a file"
        raise ConfigError(f"'{path}' {what}; use another --out")


def new_path(config: RunConfig) -> Path:
    """Return a fresh path below ``runs`` that says when and what."""
    stamp = datetime.datetime.now().strftime("%Y-%m-%d_%H%M%S")
    student = re.sub(r"[^A-Za-z0-9.]+", "-", config.student)[:30].strip("-")
    base = RUNS / f"{stamp}_{re.sub(r'[^A-Za-z0-9.]+', '-', Path(config.recipe).stem)}-{student}"
    path, count = base, 1
    while path.exists():
        count += 1
        path = base.with_name(f"{base.name}-{count}")
    return path
