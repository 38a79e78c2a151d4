"""What a run makes its student for: the sizes that it was shown, and its teachers' scenes and range."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from kdcli.choosing.facts import UNBOUNDED
from kdcli.config import StageConfig
from kdcli.made_for import common
from kdcli.training.run.kinds import kind_of
from kdcli.training.run.provenance import models_behind
from kdcli.training.run.workshop import Workshop
from kdcli.types import DepthKind, MadeFor

SIMULATED = "sim:"
"""Begin of sources that every machine has."""


def made_for(shop: Workshop, stage: StageConfig, student: nn.Module) -> MadeFor:
    """Return what a stage's network is made for.

    Scenes are those that its teachers know, or else those of its images. The range is that of its own numbers within
    theirs. Images to measure it on are the run's where every machine has them, or else its teachers'.
    """
    config = shop.config
    taught = common([getattr(teacher, "made_for", None) for teacher in models_behind(shop, [stage]).values()])
    taught = taught or MadeFor()
    domain = taught.domain
    if domain == "any":
        domain = getattr(shop.source(stage.data), "domain", "any")
    near, far = _range(student, taught)
    simulated = config.eval_data is not None and config.eval_data.startswith(SIMULATED)
    return replace(
        taught, train_size=stage.seen, eval_size=config.evaluated_at, fit="stretch", domain=domain, near=near,
        far=far, test=config.eval_data if simulated else taught.test,
    )


def _range(student: nn.Module, taught: MadeFor) -> tuple[float | None, float | None]:
    if kind_of(student) is not DepthKind.METRIC:
        return None, None
    low, high = (float(end) for end in student.depth_range)  # type: ignore[union-attr]
    near = max(low, taught.near or 0.0) or None
    far = min(high, taught.far or UNBOUNDED)
    return near, far if far < UNBOUNDED else None
