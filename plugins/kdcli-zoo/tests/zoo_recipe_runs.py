"""A recipe at a tiny size: run whole, and stopped as by Ctrl-C and gone on."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import torch

import kdcli
from kdcli.config import RunConfig
from kdcli.weights import load_state


class StopAt:
    """Progress that asks the process to stop once a step of the run itself is logged."""

    def __init__(self, stage: str, step: int) -> None:
        self.place = ("student", stage, step)

    def note(self, message: str) -> None:
        """Say nothing."""

    def count(self, what: str, done: int, total: int) -> None:
        """Show nothing."""

    def step(self, log: Any) -> None:
        """Stop there."""
        if (log.variant, log.stage, log.step) == self.place:
            os.kill(os.getpid(), signal.SIGINT)


def tiny(recipe: str, **options: Any) -> RunConfig:
    """Return the recipe with a few steps in each stage, on small images."""
    stages = [stage.name for stage in kdcli.configure(recipe).stages]
    steps = [f"{stage}.{key}" for stage in stages for key in ("steps=2", "log_every=1", "checkpoint_every=1")]
    return kdcli.configure(
        recipe, data="sim:blocks,count=8", eval_data="none", size=(32, 64), batch_size=4, set=steps, **options
    )


def check_recipe_runs(recipe: str, out: Path, *, stage: str, export: str = "onnx") -> dict[str, Any]:
    """Run it from start to finish with its twin, and once more with a stop in a stage; expect the same bits.

    Returns the manifest of the whole run, and its logged steps under ``metrics``.
    """
    config = tiny(recipe, export=export)
    whole = kdcli.distill(config, out=out / "whole")
    stopped = out / "stopped"
    try:
        kdcli.distill(config, out=stopped, progress=StopAt(stage, 1))
        raise AssertionError("nothing stopped it")
    except KeyboardInterrupt:
        assert not (stopped / "student.safetensors").exists()
    again = kdcli.distill(config, resume=stopped)
    for name in ("student.safetensors", "twin/student.safetensors"):
        one, two = load_state(whole.run / name), load_state(again.run / name)
        assert one.keys() == two.keys()
        assert all(torch.equal(one[key], two[key]) for key in one), name
    assert export == "none" or whole.export is not None
    manifest: dict[str, Any] = json.loads((whole.run / "manifest.json").read_text(encoding="utf-8"))
    rows = (whole.run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return manifest | {"metrics": [json.loads(row) for row in rows]}
