"""The transformation network of a stage, as it begins, and how it is held against a teacher's statistics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from kdcli.config import StageConfig
from kdcli.errors import ConfigError
from kdcli.training.seeds import seed_of, seeded
from kdcli.transform import JointTransform, TransformNetwork, statistics_for


def transform_network(stage: StageConfig, seed: int) -> TransformNetwork:
    """Return the network that a stage fits, or learns jointly, as it begins: the identity."""
    with seeded(seed):
        return TransformNetwork(form=stage.network, width=stage.network_width, depth=stage.network_layers)


def probe_options(stage: StageConfig) -> dict[str, Any]:
    """Return how a stage measures feature statistics, as the arguments of ``kdcli.transform.probe_for``."""
    return {
        "norm": stage.norm, "layers": stage.statistics_layers, "weights": dict(stage.statistics_weights),
        "first": stage.statistics_first,
    }


def joint_transform(stage: StageConfig, teachers: Mapping[str, nn.Module], seed: int) -> JointTransform:
    """Return the transformation that a stage learns together with its student, as it begins. seed: of the run.

    Raises:
        ConfigError: several teachers, or one that it cannot be learned for.
    """
    if len(teachers) != 1:
        raise ConfigError(f"stage '{stage.name}' transforms for one teacher, not for {len(teachers)}")
    teacher = next(iter(teachers.values()))
    made = JointTransform(
        transform_network(stage, seed_of(seed, stage.name, "transform")),
        probability=stage.transform_share,
        content=stage.content,
        statistics=statistics_for(teacher, stage.statistics),
        lr_scale=(stage.transform_lr or stage.lr) / stage.lr,
        **probe_options(stage),
    )
    made.probe(teacher)  # what does not fit is refused here, not in the first step
    return made
