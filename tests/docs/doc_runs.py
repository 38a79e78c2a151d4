"""Small runs that stand for those of the documents: trained for two steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kdcli.cli.app import app
from kdcli.training.run.folder import RunFolder

SMALL = "mobilenet,width=0.35"


def call(*words: str) -> Any:
    """Run kdcli in this process and return what came of it."""
    return CliRunner().invoke(app, list(words))


def with_depth(path: Path) -> None:
    _distil(path, "plain", SMALL)


def with_bins(path: Path) -> None:
    _distil(path, "plain", f"{SMALL},head=bins,bins=8")


def with_twin(path: Path) -> None:
    _distil(path, "data-free", SMALL, "--set", "fit.steps=1")


def stopped(path: Path) -> None:
    """Leave a run as an interruption does."""

    def stop(self: RunFolder, log: Any) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(RunFolder, "log_step", stop)
        _distil(path, "plain", SMALL, "--set", "log_every=1", "--set", "checkpoint_every=1", code=130)


def statistics(path: Path) -> None:
    """Record what the bundled teacher's features are like."""
    made = path.with_suffix(".safetensors")
    asked = ("fit-transform", "--record", str(made), "--teacher", "demo", "--data", "sim:rooms,count=4")
    told = call(*asked, "--size", "64x96", "--batch-size", "2", "--device", "cpu", "--quiet")
    assert told.exit_code == 0, (told.output, told.exception)
    made.rename(path)


MAKERS: dict[str, Callable[[Path], None]] = {
    "depth": with_depth, "bins": with_bins, "twin": with_twin, "stopped": stopped, "statistics": statistics,
}


def _distil(path: Path, recipe: str, student: str, *more: str, code: int = 0) -> None:
    told = call(
        "distill", "--recipe", recipe, "--student", student, "--teacher", "demo", "--data", "sim:blocks,count=4",
        "--size", "64x96", "--steps", "2", "--batch-size", "2", "--eval-data", "sim:rooms,count=2,seed=1000",
        "--set", "export=none", *more, "--out", str(path), "--device", "cpu", "--quiet",
    )
    assert told.exit_code == code, (told.output, told.exception)
