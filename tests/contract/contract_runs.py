"""One recipe, run in every way that a run may go: whole, again, with another seed, stopped and resumed."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kdcli.config import RunConfig, load
from kdcli.recipes import read
from kdcli.training.loop.train import StepLog
from kdcli.training.run.folder import RunFolder
from kdcli.training.run.job import distill, resumable
from kdcli.training.run.progress import Silent
from kdcli.weights import load_state

SPEED = "images_per_second"


class StopAt(Silent):
    """Asks the process to stop once a step is logged, as Ctrl-C does; or lets it die there, with nothing saved."""

    def __init__(self, variant: str, stage: str, step: int, *, dies: bool = False) -> None:
        self._place, self._dies = (variant, stage, step), dies

    def step(self, log: StepLog) -> None:
        if (log.variant, log.stage, log.step) == self._place:
            if self._dies:
                raise Died
            os.kill(os.getpid(), signal.SIGINT)


class Died(Exception):
    """Stands for whatever ends a process without a word."""


@dataclass(kw_only=True)
class Prototype:
    """A recipe and the folder that its runs go to."""

    recipe: str
    folder: Path
    _whole: Path | None = field(default=None)

    def config(self, *settings: str, **flags: Any) -> RunConfig:
        """Resolve it."""
        name, text = read(self.recipe)
        return load(name, text, flags, settings)

    @property
    def whole(self) -> Path:
        """A run from beginning to end, made once."""
        if self._whole is None:
            self._whole = self.run("whole")
        return self._whole

    def run(self, name: str, *settings: str, **flags: Any) -> Path:
        """Run it from beginning to end."""
        return distill(self.config(*settings, **flags), out=self.folder / name).run

    def stopped(self, variant: str, stage: str, step: int, *, dies: bool = False) -> Path:
        """Run it until it is asked to stop after a step, or dies there, and leave it.

        Raises:
            AssertionError: nothing stopped it.
        """
        out = self.folder / f"{variant}-{stage}-{step}-{dies}"
        try:
            distill(self.config(), out=out, progress=StopAt(variant, stage, step, dies=dies))
        except (KeyboardInterrupt, Died):
            return out
        raise AssertionError(f"{out.name} ran to its end")


def go_on(run: Path) -> None:
    """Resume a run to its end."""
    distill(resumable(run), resume=run)


def trained(run: Path) -> dict[str, dict[str, Tensor]]:
    """Return the tensors of all networks that a run left behind, by file."""
    files = [run / "student.safetensors", run / "twin" / "student.safetensors", *(run / "stages").glob("*")]
    return {str(file.relative_to(run)): load_state(file) for file in files if file.is_file()}


def differing(one: Path, two: Path) -> list[str]:
    """Return what two runs differ in to the last bit: tensors, and what was logged of their steps."""
    first, second = trained(one), trained(two)
    found = [f"{file}" for file in first.keys() ^ second.keys()]
    for file in first.keys() & second.keys():
        names = first[file].keys() | second[file].keys()
        found += [
            f"{file}: {name}" for name in sorted(names)
            if name not in first[file] or name not in second[file] or not _same(first[file][name], second[file][name])
        ]
    rows, others = logged(one), logged(two)
    found += [f"step {a} against {b}" for a, b in zip(rows, others, strict=False) if a != b]
    return found + ([f"{len(rows)} against {len(others)} logged steps"] if len(rows) != len(others) else [])


def logged(run: Path) -> list[dict[str, Any]]:
    """Return what a run logged of its steps, but for the speed."""
    return [{key: value for key, value in row.items() if key != SPEED} for row in RunFolder(run).metrics()]


def _same(one: Tensor, two: Tensor) -> bool:
    return one.dtype == two.dtype and torch.equal(one, two)
