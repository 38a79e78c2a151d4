"""The stage that fits a transformation network to the teacher's statistics, and the pictures that show what came of it.

::

    NAME.safetensors   the network
    NAME-layers.png    distance of every layer's statistics before and after (needs matplotlib)
    NAME-images.png    images before and after, with the teacher's depth of both
    NAME.fit.pt        while it is fitted: how far it is, from which an interrupted fit goes on
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kdcli.config import StageConfig
from kdcli.documents import Each
from kdcli.errors import ConfigError
from kdcli.files import atomic
from kdcli.report.layer_plot import NEEDS, available, plot_layers
from kdcli.report.transform_picture import before_and_after
from kdcli.training.batches.augment import augment
from kdcli.training.loop import checkpoint
from kdcli.training.loop.train import Interrupted, stop_requests, total_steps
from kdcli.training.run.provenance import teachers_behind
from kdcli.training.run.transforming import probe_options, transform_network
from kdcli.training.run.workshop import Workshop
from kdcli.training.seeds import seed_of
from kdcli.training.step.mixing import MixStep, apply
from kdcli.training.step.task import DistillTask
from kdcli.transform import FitReport, JointTransform, TransformNetwork, fit, save, statistics_for
from kdcli.types import Batch

SHOWN = 6
"""Images in the picture."""
_STATE = {
    "asked_for": str, "step": int, "network": Each(Any), "optimizer": {"state": Each(Any), "param_groups": [Each(Any)]},
    "best": float, "kept": Each(Any), "before": float, "layers": Each(float), "seconds": float,
}
"""Shape of the state of a fit under way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitFiles:
    """Where the files of a fit go."""

    network: Path
    plot: Path
    picture: Path
    state: Path

    @classmethod
    def beside(
        cls, network: Path, plot: Path | None = None, picture: Path | None = None, state: Path | None = None
    ) -> FitFiles:
        """Return the files of a network, the others named after it where they are not given."""
        return cls(
            network=network,
            state=state or network.with_name(f"{network.stem}.fit.pt"),
            plot=plot or network.with_name(f"{network.stem}-layers.png"),
            picture=picture or network.with_name(f"{network.stem}-images.png"),
        )

    def document(self) -> dict[str, Any]:
        """Return the names of the pictures that were drawn, None for one that was not."""
        found = {"plot": self.plot, "picture": self.picture}
        return {key: str(path) if path.is_file() else None for key, path in found.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitting:
    """What a stage fits, to whom, and on what: a function of the seed alone."""

    network: TransformNetwork
    teacher: nn.Module
    steps: int
    batch_at: Callable[[int], Batch]
    """The mixed images of a step."""
    options: Mapping[str, Any]
    """Of ``fit``."""

    @classmethod
    def of(cls, shop: Workshop, stage: StageConfig) -> Fitting:
        """Build it.

        Raises:
            ConfigError: several teachers, or one without statistics.
        """
        teachers = shop.teachers(stage)
        if len(teachers) != 1:
            raise ConfigError(f"stage '{stage.name}' fits a transformation to one teacher, not to {len(teachers)}")
        teacher = next(iter(teachers.values()))
        seed = seed_of(shop.config.seed, stage.name)
        feed = shop.feed(stage)
        steps = total_steps(stage, feed)
        mixers = shop.mixers(stage, None)
        generator = torch.Generator(device=shop.device)

        def batch_at(step: int) -> Batch:
            batch = next(feed.batches(step, step + 1))
            generator.manual_seed(seed_of(seed, step))
            batch = augment(batch, stage, generator)
            now = MixStep(step=step, stage=stage.name, progress=step / steps, generator=generator)
            return apply(batch, mixers, now)

        options = {
            "lr": stage.transform_lr or stage.lr, "content": stage.content,
            "statistics": statistics_for(teacher, stage.statistics), **probe_options(stage),
        }
        return cls(
            network=transform_network(stage, seed).to(shop.device), teacher=teacher, steps=steps, batch_at=batch_at,
            options=options,
        )


def fit_stage(
    shop: Workshop, stage: StageConfig, files: FitFiles, told: Callable[[str, int, int], None],
    loss: Callable[[int, int, float], None] | None = None,
) -> tuple[FitReport, list[str]]:
    """Fit on the stage's mixed images and write network and pictures; a function of the seed alone.

    told: hears what is done, how far it is, and of how much; loss: the step, of how many, and the loss.

    A state is written every tenth of the steps, more often where the stage says so, and when the process is asked to
    stop; where one of the same fit lies, it goes on to the same last bit. Returns what it came to, and what else is to
    be said of it. The network is written last: where it is, the stage is done.

    Raises:
        ConfigError: several teachers, or one without statistics. PluginError: the teacher changed. WeightsError: the
            state is damaged. Interrupted: asked to stop.
    """
    parts = Fitting.of(shop, stage)
    network, teacher, steps = parts.network, parts.teacher, parts.steps

    def on_step(step: int, value: float) -> None:
        told("fitted", step + 1, steps)
        if loss is not None:
            loss(step + 1, steps, value)

    asked_for = f"{stage!r}, seed {shop.config.seed}"
    begun = _begun(files.state, asked_for)
    every = min(stage.checkpoint_every, max(steps // 10, 1))

    def keep(done: int, state: Callable[[], dict[str, Any]]) -> None:
        stopping = asked.is_set() and done < steps
        if stopping or (done % every == 0 and done < steps):
            checkpoint.write(files.state, {**state(), "asked_for": asked_for})
        if stopping:
            raise Interrupted

    if begun is not None:
        told("fitted", begun["step"], steps)
    with stop_requests() as asked:  # to the end: a request in the last step is answered when all is written
        result = fit(
            network,
            teacher,
            parts.batch_at,
            steps=steps,
            **parts.options,
            on_step=on_step,
            resume=begun,
            after_step=keep,
        )
        notes = [] if begun is None else [f"went on after step {begun['step']}"]
        notes += _draw(files, network, teacher, parts.batch_at(steps + 1), result.document()["layers"])
        save(
            network,
            files.network,
            {
                "teachers": teachers_behind(shop, [stage]), "data": stage.data, "seed": shop.config.seed,
                "statistics": stage.statistics, "norm": stage.norm, **result.document(),
            },
        )
        files.state.unlink(missing_ok=True)
    return result, notes


def take_over(made: FitFiles, files: FitFiles) -> None:
    """Copy what the same fit came to elsewhere, the network last as a fit does."""
    for source, target in ((made.plot, files.plot), (made.picture, files.picture), (made.network, files.network)):
        if source.is_file():
            with atomic(target) as temporary:
                shutil.copyfile(source, temporary)


def _begun(path: Path, asked_for: str) -> dict[str, Any] | None:
    """Return the state of a fit that was interrupted; None where there is none, or one of another fit.

    Raises:
        WeightsError: it is damaged.
    """
    state = checkpoint.read(path, _STATE) if path.is_file() else None
    return state if state is not None and state["asked_for"] == asked_for else None


@torch.no_grad()
def _draw(
    files: FitFiles, network: nn.Module, teacher: nn.Module, batch: Batch, layers: list[dict[str, Any]]
) -> list[str]:
    """Draw what a fit came to, on images on which no gradient was taken; return what was left out."""
    image = batch.image[:SHOWN]
    moved = network(image)
    before_and_after(files.picture, image, moved, teacher(image), teacher(moved))
    if available():
        plot_layers(files.plot, layers, title="feature statistics before and after the transformation")
        return []
    files.plot.unlink(missing_ok=True)  # one of an earlier fit would show something else
    return [f"the plot of the layers was left out: it {NEEDS}"]


def keep_joint(shop: Workshop, stage: StageConfig, task: DistillTask, path: Path) -> None:
    """Write the transformation network that a stage learned together with its student."""
    network = next(mixer.network for mixer in task.mixers if isinstance(mixer, JointTransform))
    facts = {
        "teachers": teachers_behind(shop, [stage]), "data": stage.data, "seed": shop.config.seed,
        "statistics": stage.statistics, "joint": True,
    }
    save(network, path, facts)
