"""At which depth a network begins: that of the first stage that brings it to a scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import nn

from kdcli.config import RunConfig, StageConfig
from kdcli.config.references import STAGE, origin_of
from kdcli.training.run.loss_parts import loss_parts
from kdcli.training.step.parts import hold_scale

if TYPE_CHECKING:
    from kdcli.training.step.task import DistillTask
    from kdcli.types import Batch


def begin(
    config: RunConfig, stages: Sequence[StageConfig], stage: StageConfig, task: DistillTask, network: nn.Module,
    first: Batch,
) -> float | None:
    """Let a stage's network begin at what is taught of the first images; None where it stays where it is.

    stages: of the variant that the stage belongs to.
    """
    if not _brings_to_scale(config, stages, stage) or not callable(getattr(network, "begin_at", None)):
        return None
    level = task.level(first)
    if level is not None:
        network.begin_at(level)  # type: ignore[operator]
    return level


def _brings_to_scale(config: RunConfig, stages: Sequence[StageConfig], stage: StageConfig) -> bool:
    """Return whether a stage is the first that brings its network to a scale; others before it left that open."""
    known = config.stages
    mine = [s for s in stages if s.train == "student" and origin_of(known, s) == origin_of(known, stage)]
    return not (stage.student or "").startswith(STAGE) and not any(
        hold_scale(loss_parts(earlier, config.seed), earlier.task_loss) for earlier in mine[: mine.index(stage)]
    )
