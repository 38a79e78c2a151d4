"""The run folder: everything a distillation made, enough to repeat it.

::

    config.toml      the resolved recipe, each value with its origin; runs again with --recipe
    manifest.json    versions, seed, device, teachers with sha256 and licence, argv, protocol hash, state
    metrics.jsonl    one line per logged step
    checkpoints/     state.pt of the stage under way
    transform.safetensors, student.safetensors, student.onnx
    transform-layers.png, transform-images.png
    stages/          networks that earlier stages trained for later ones, as students' files
    twin/            the run without the method: student.safetensors
    eval/            results.json, per_image.csv
    report.html  picture.png  log.txt
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kdcli.config import RunConfig, dump, load
from kdcli.errors import ConfigError, DataError
from kdcli.files import read_text, umask, write_json, write_text
from kdcli.text import block
from kdcli.training.loop.train import StepLog
from kdcli.training.run.environment import environment

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

    @classmethod
    def create(cls, path: Path, config: RunConfig, facts: dict[str, Any]) -> RunFolder:
        """Make the folder with its configuration and manifest.

        Raises:
            ConfigError: the folder already holds something.
        """
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            holds = "a run" if (path / "manifest.json").is_file() else "something else"
            raise ConfigError(f"'{path}' already holds {holds}; use --resume '{path}' to go on, or another --out")
        # Made beside it and renamed: whatever kills the process, a folder that is there is a run that can go on.
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        try:
            write_text(draft / "config.toml", dump(config), names=True)
            cls(draft).write_manifest(
                {**environment(), "recipe": config.recipe, "seed": config.seed, **facts, "state": "running"}
            )
            draft.chmod(0o777 & ~umask())
            if path.is_dir():
                path.rmdir()  # it is empty; not every system renames over a folder
            draft.replace(path)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
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

    def config(self) -> RunConfig:
        """Read the resolved configuration back."""
        text = read_text(self.path / "config.toml")
        return load(str(self.manifest().get("recipe", "resumed")), text)

    def manifest(self) -> dict[str, Any]:
        """Read the manifest.

        Raises:
            DataError: it does not parse.
        """
        try:
            document: dict[str, Any] = json.loads((self.path / "manifest.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(
                f"'{self.path / 'manifest.json'}' cannot be read ({type(error).__name__}); the run is damaged"
            ) from None
        if not isinstance(document, dict):
            raise DataError(f"'{self.path / 'manifest.json'}' holds no table of facts; the run is damaged")
        return document

    def write_manifest(self, document: dict[str, Any]) -> None:
        """Write the manifest whole."""
        write_json(self.path / "manifest.json", document)

    def update(self, **facts: Any) -> None:
        """Add facts to the manifest."""
        self.write_manifest({**self.manifest(), **facts})

    def log_step(self, log: StepLog) -> None:
        """Append one line to metrics.jsonl."""
        row = {
            "variant": log.variant,
            "stage": log.stage,
            "step": log.step,
            "loss": log.loss,
            **{f"term/{name}": value for name, value in log.terms.items()},
            **{f"note/{name}": value for name, value in log.notes.items()},
            "lr": log.lr,
            "grad_norm": log.grad_norm,
            "images_per_second": round(log.images_per_second, 2),
        }
        with (self.path / "metrics.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")

    def note(self, message: str) -> None:
        """Append a line to log.txt; controls in it are escaped."""
        stamp = datetime.datetime.now(datetime.UTC).strftime("%H:%M:%S")
        with (self.path / "log.txt").open("a", encoding="utf-8") as stream:
            stream.write(f"{stamp} {block(message)}\n")

    def metrics(self) -> list[dict[str, Any]]:
        """Read metrics.jsonl; a last line cut short by a crash is left out."""
        rows = []
        path = self.path / "metrics.jsonl"
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
            with contextlib.suppress(ValueError):
                rows.append(json.loads(line))
        return rows

    def forget_after(self, variant: str, stage: str, step: int) -> None:
        """Drop metric lines past a checkpoint, so that a resumed run logs each step once."""
        kept = [
            row
            for row in self.metrics()
            if not (row["variant"] == variant and row["stage"] == stage and row["step"] > step)
        ]
        write_text(self.path / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in kept))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep a second process out of the folder; the lock of one that died is taken over.

        Raises:
            ConfigError: another process works on this run.
        """
        with only_one(self.path) as lock:
            for left in self.path.rglob(".*"):  # what a killed process was writing
                if left.is_file() and left != lock:
                    left.unlink(missing_ok=True)
            yield

    @contextlib.contextmanager
    def ending(self, told: Callable[[str], None]) -> Iterator[None]:
        """Write down how a run ended that did not finish; one that came to nothing leaves no folder behind.

        ``told`` hears how to go on.
        """
        try:
            yield
        except BaseException as error:
            made = (self.student, self.transform, self.state, self.path / "metrics.jsonl")
            if not any(path.exists() for path in made):
                shutil.rmtree(self.path, ignore_errors=True)
                raise
            stopped = isinstance(error, KeyboardInterrupt)
            why = {} if stopped else {"error": " ".join(str(error).split())[:500]}
            with contextlib.suppress(OSError):  # on a full disk the first error is the one to tell
                self.update(state="interrupted" if stopped else "failed", **why)
            if stopped:
                told(f"what was done is kept; go on with: kdcli distill --resume {self.path}")
            raise


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[Path]:
    """Keep a second process out of a folder by a lock file, which is yielded; that of one that died is taken over.

    Raises:
        ConfigError: another process works there.
    """
    lock = folder / ".lock"
    with contextlib.suppress(OSError, ValueError):
        owner = int(lock.read_text(encoding="ascii"))
        if owner != os.getpid() and _alive(owner):
            raise ConfigError(f"process {owner} is working on '{folder}'; wait for it or stop it")
    write_text(lock, str(os.getpid()))
    try:
        yield lock
    finally:
        lock.unlink(missing_ok=True)


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


def list_runs(folder: Path) -> list[dict[str, Any]]:
    """Return one row per run below a folder, newest first."""
    rows = []
    for manifest in sorted(folder.glob("*/manifest.json"), reverse=True):
        run = RunFolder(manifest.parent)
        with contextlib.suppress(DataError):
            facts = run.manifest()
            rows.append(
                {
                    "run": str(run.path),
                    "state": facts.get("state"),
                    "recipe": facts.get("recipe"),
                    "student": facts.get("student"),
                    "teacher": ", ".join(t["spec"] for t in facts.get("teachers", [])),
                    "delta1": {name: row["metrics"]["delta1"] for name, row in facts.get("eval", {}).items()},
                }
            )
    return rows


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
