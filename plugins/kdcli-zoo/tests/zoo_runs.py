"""Any recipe made small: all its stages, a few updates each, on a handful of small images."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import kdcli
from kdcli.config import RunConfig, load
from kdcli.recipes import read
from kdcli.training.run.progress import Silent
from kdcli.weights import load_state

IMAGES, BATCH, SIZE = 8, 4, "64x64"
FIRST, LAST = 1, 3
"""Updates of a stage that others follow, and of the last one; a checkpoint is written every second."""


def small(name: str, *settings: str, **flags: Any) -> RunConfig:
    """Resolve a recipe with little of everything, and without a twin. settings, flags: what else is to differ."""
    found, text = read(name)
    whole = load(found, text)
    shrunk = [f"run.eval_data={_few(whole.eval_data or 'none', 2)}"]
    for stage in whole.stages:
        steps = LAST if stage is whole.main else FIRST
        keys = (
            f"steps={steps}", f"batch_size={BATCH}", f"size={SIZE}", f"data={_few(stage.data, IMAGES)}", "log_every=1",
            "checkpoint_every=2",
        )
        shrunk += [f"{stage.name}.{key}" for key in keys]
    return load(found, text, flags, [*shrunk, *settings], twin=False)


def _few(source: str, count: int) -> str:
    """Return a source's spec, or one of several sources, with so many images each."""
    return re.sub(r"count=\d+", f"count={count}", source)


class Died(Exception):
    """Stands for whatever ends a process without a word."""


class DiesAt(Silent):
    """Lets a run die once an update of a stage is logged, with nothing saved but what was before."""

    def __init__(self, stage: str, step: int) -> None:
        self._place = (stage, step)

    def step(self, log: Any) -> None:
        """See what was logged."""
        if (log.stage, log.step) == self._place:
            raise Died


def killed_and_resumed(config: RunConfig, out: Path, *, stage: str, step: int) -> Path:
    """Run until it dies after an update, go on to the end, and return the run.

    Raises:
        AssertionError: it did not die.
    """
    try:
        kdcli.distill(config, out=out, progress=DiesAt(stage, step))
    except Died:
        return kdcli.distill(config, resume=out).run
    raise AssertionError(f"{out.name} has no update {step} of stage {stage}")


def trained(run: Path) -> dict[str, dict[str, Any]]:
    """Return the tensors of the networks that a run left behind, by file."""
    files = [run / "student.safetensors", *sorted((run / "stages").glob("*.safetensors"))]
    return {str(file.relative_to(run)): load_state(file) for file in files if file.is_file()}
