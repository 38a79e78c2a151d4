"""The stage that fits a transformation network to the teacher's statistics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from kdcli.config import StageConfig
from kdcli.errors import ConfigError
from kdcli.training.augment import augment
from kdcli.training.loop import total_steps
from kdcli.training.mix_context import MixStep, apply
from kdcli.training.parts import Workshop, provenance
from kdcli.training.seeds import seed_of, seeded
from kdcli.training.step import DistillTask
from kdcli.transform import JointTransform, TransformNetwork, fit, save, statistics_for
from kdcli.types import Batch


def fit_stage(shop: Workshop, stage: StageConfig, path: Path, told: Callable[[str, int, int], None]) -> None:
    """Fit on the stage's mixed images and write the network; a function of the seed alone.

    Raises:
        ConfigError: several teachers, or one without statistics.
    """
    teachers = shop.teachers(stage)
    if len(teachers) != 1:
        raise ConfigError(f"stage '{stage.name}' fits a transformation to one teacher, not to {len(teachers)}")
    teacher = next(iter(teachers.values()))
    seed = seed_of(shop.config.seed, stage.name)
    with seeded(seed):
        network = TransformNetwork(form=stage.network, width=stage.network_width)
    network.to(shop.device)
    feed = shop.feed(stage)
    steps = total_steps(stage, feed)
    mixers = shop.mixers(stage, None)
    generator = torch.Generator(device=shop.device)

    def batch_at(step: int) -> Batch:
        batch = next(feed.batches(step, step + 1))
        generator.manual_seed(seed_of(seed, step))
        batch = augment(batch, stage, generator)
        return apply(
            batch, mixers, MixStep(step=step, stage=stage.name, progress=step / steps, generator=generator)
        )

    result = fit(
        network,
        teacher,
        batch_at,
        steps=steps,
        lr=stage.lr,
        content=stage.content,
        norm=stage.norm,
        statistics=statistics_for(teacher, stage.statistics),
        on_step=lambda step, _: told("fitted", step + 1, steps),
    )
    save(
        network,
        path,
        {
            "teachers": provenance(teachers), "data": stage.data, "seed": shop.config.seed,
            "statistics": stage.statistics, **result.document(),
        },
    )


def keep_joint(shop: Workshop, stage: StageConfig, task: DistillTask, path: Path) -> None:
    """Write the transformation network that a stage learned together with its student."""
    network = next(mixer.network for mixer in task.mixers if isinstance(mixer, JointTransform))
    facts = {
        "teachers": provenance(shop.teachers(stage)), "data": stage.data, "seed": shop.config.seed,
        "statistics": stage.statistics, "joint": True,
    }
    save(network, path, facts)
