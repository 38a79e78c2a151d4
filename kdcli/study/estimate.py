"""What a study's runs will take, and ask of their teachers, from a few real steps of each kind of run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdcli.config import RunConfig
from kdcli.files import digest
from kdcli.spec import parse
from kdcli.study.cells import State, jobs
from kdcli.study.grid import Study
from kdcli.study.identity import essence

if TYPE_CHECKING:
    import torch

_NO_COST = ("steps", "seed", "log_every", "checkpoint_every", "keep_checkpoints", "lr")
"""Keys that change how long a run is or where it goes, not what a step costs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A run, the seconds that its steps will take, and the images that its teachers will be shown."""

    title: str
    run: Path
    state: State
    seconds: float | None
    """Of the student's steps from the first to the last; fitting, rendering and evaluation come on top. None for a
    finished run."""
    teacher_images: int | None = None
    """As often as one is shown; of teachers from outside the run."""
    stages: tuple[dict[str, Any], ...] = ()
    """Of each stage that trains a student: its name, steps, seconds of a step, and the most memory that the process had
    held until then."""

    def document(self) -> dict[str, Any]:
        """Return the JSON form."""
        seconds = None if self.seconds is None else round(self.seconds, 3)
        return {"cell": self.title, "run": str(self.run), "state": self.state, "seconds": seconds,
                "teacher_images": self.teacher_images, "stages": list(self.stages)}  # fmt: skip


def expect(study: Study, out: Path, device: torch.device) -> list[Expected]:
    """Return the runs of a study with their cost; runs whose steps are alike are measured once.

    Raises:
        KdcliError: whatever a run would refuse.
    """
    from kdcli.training.run.dry_run import measure

    measured: dict[str, list[dict[str, Any]]] = {}
    rows = []
    for job in jobs(study, out):
        if not job.wanted:
            continue
        config, seconds, images, stages = job.cell.config, None, None, []
        if job.state != "finished":
            shape = _shape(config)
            if shape not in measured:
                measured[shape] = measure(config, device, repeats=3)["stages"]
            seconds = sum(row["seconds"] / row["steps"] * _steps(config, row) for row in measured[shape])
            images = sum(_images(config, row) for row in measured[shape])
            stages = [
                {"stage": row["stage"], "steps": _steps(config, row), "seconds_per_step": row["seconds_per_step"],
                 "memory_mib": row["memory_mib"]}
                for row in measured[shape]
            ]
        rows.append(Expected(title=job.title, run=job.folder, state=job.state, seconds=seconds,
                             teacher_images=images, stages=tuple(stages)))  # fmt: skip
    return rows


def _steps(config: RunConfig, measured: dict[str, Any]) -> int:
    """Return a stage's steps; where it counts epochs, runs of one shape have the same number of images."""
    own = next(stage.steps for stage in config.stages if stage.name == measured["stage"])
    return int(measured["steps"] if own is None else own)


def _images(config: RunConfig, measured: dict[str, Any]) -> int:
    """Return the images that a stage shows its teachers; one whose map is kept is shown once, however many steps."""
    images = int(measured["teacher_images"])
    return images if "teacher_cache" in measured else images * _steps(config, measured) // int(measured["steps"])


def _shape(config: RunConfig) -> str:
    """Return a hash of what a step costs; the number of images counts where it decides the number of steps."""
    by_epochs = any(stage.epochs is not None for stage in config.stages)
    told = {}
    for key, value in essence(config).items():
        name = key.rpartition(".")[2]
        if name in _NO_COST:
            continue
        if name == "data" and not by_epochs:
            spec = parse(value)
            options = {key: text for key, text in spec.options.items() if key not in ("count", "seed")}
            told[key] = [spec.name, spec.location, options]
            continue
        told[key] = value
    return digest(told)
