"""A stage wired to try steps of it, as a run does them; nothing is written and nothing of it is kept."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import nn

from kdcli.config import StageConfig
from kdcli.training.batches.augment import augment_step
from kdcli.training.batches.feed import Feed
from kdcli.training.batches.memory_maps import MemoryMaps
from kdcli.training.batches.taught import Taught
from kdcli.training.run.beginning import begin
from kdcli.training.run.workshop import Workshop
from kdcli.training.step.task import DistillTask, StepResult
from kdcli.types import Batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A stage in the mode of training."""

    stage: StageConfig
    task: DistillTask
    feed: Feed
    cache: Taught | MemoryMaps | None
    """What keeps its teachers' depth in a run; a trial keeps none."""
    seed: int
    generator: torch.Generator

    def step(self, batch: Batch, step: int, total: int) -> StepResult:
        """Do all of a step but the update of the optimiser; the batch has its teachers' depth where that is kept."""
        batch = augment_step(batch, self.stage, self.generator, seed=self.seed, step=step)
        result: StepResult = self.task(batch, step, total, distances=self.stage.sampling == "hard")
        if result.loss.requires_grad:
            result.loss.backward()  # type: ignore[no-untyped-call]
        return result

    def taught(self, batch: Batch) -> Batch:
        """Return a batch with the depth that a run would read from its teacher cache, asked of the teachers."""
        return batch if self.cache is None else replace(batch, taught=self.cache.ask(batch))


def trial_of(shop: Workshop, stage: StageConfig, network: nn.Module) -> Trial:
    """Wire a stage that trains a student.

    Raises:
        KdcliError: whatever the run itself would refuse.
    """
    # What an earlier stage fits does not exist yet; it costs a small convolution network more.
    task = shop.task(without_transform(stage) if stage.transform == "fitted" else stage, network, None)
    feed = shop.feed(stage)
    first = shop.first(stage)
    # As the run does, so that terms are its own.
    begin(shop.config, shop.config.stages, stage, task, network, first)
    task.build(first)
    task.begin_training()
    return Trial(
        stage=stage, task=task, feed=feed, cache=shop.taught(stage), seed=shop.config.seed,
        generator=torch.Generator(device=shop.device),
    )


def without_transform(stage: StageConfig) -> StageConfig:
    """Return a stage without the transformation network that an earlier one fits."""
    return replace(stage, transform="none")
