"""Everything that can be refused is refused before the first step, and before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from kdcli.config import StageConfig, check_looks
from kdcli.config.references import origin_of
from kdcli.errors import ConfigError, DataError
from kdcli.evals import check as check_evaluation
from kdcli.plugins import registry
from kdcli.training.run.along import trained_along
from kdcli.training.run.checks import check_gradients, check_mixers, check_outputs, check_terms
from kdcli.training.run.disk import state_bytes
from kdcli.training.run.fidelity import check_fidelity
from kdcli.training.run.kinds import check_kinds
from kdcli.training.run.results import check_carried
from kdcli.training.run.sharing import check_sharing
from kdcli.training.run.student_form import require_form
from kdcli.training.run.teacher_engine import require_engine
from kdcli.training.run.transforming import probe_options
from kdcli.training.run.workshop import Workshop
from kdcli.training.step.mixing import build_mixers
from kdcli.training.step.task import DistillTask
from kdcli.transform import probe_for, statistics_for
from kdcli.types import Batch


def preflight(shop: Workshop, student: nn.Module) -> list[tuple[StageConfig, int]]:
    """Check the stages of a run and of its twin, its evaluation and its export; ``student`` is the run's.

    Returns the run's stages that train a student, with the bytes that a checkpoint of them takes.

    Raises:
        KdcliError: as the stages, those of the twin, the evaluation or the export would.
    """
    config = shop.config
    check_sharing(config, shop.group)
    twin = () if config.twin is None else config.twin.stages(config.stages)
    networks: dict[str | None, nn.Module] = {None: student}
    states: list[tuple[StageConfig, int]] = []
    for stages in (config.stages, twin):
        learned: dict[str, tuple[str, Mapping[str, Tensor]]] = {}
        for stage in stages:
            origin = origin_of(config.stages, stage)
            if origin not in networks:
                networks[origin] = shop.network(stage)[0]
            task = check(shop, stage, networks[origin])
            if task is not None:
                check_carried(task, learned)
                states += [(stage, state_bytes(task))] if stages is config.stages else []
    if config.eval_data is not None:
        models = {"student": student, **shop.teachers(config.main)}
        check_evaluation(models, shop.source(config.eval_data), config.protocol, config.align)
    check_fidelity(shop, student)
    if config.export is not None:
        registry.load(registry.find("exporter", config.export))
    return states


def check(shop: Workshop, stage: StageConfig, student: nn.Module) -> DistillTask | None:
    """Build everything of a stage that does not depend on an earlier one, to refuse what cannot work.

    Returns the stage's task; None where it trains no student.

    Raises:
        ConfigError, PluginError, SpecError, WeightsError: as building would. DataError: the first images cannot be
            read, or are to be learned from and have no depth.
    """
    check_looks(stage)
    require_engine(stage, shop.device)
    require_form(stage, shop.device)
    shop.feed(stage)
    shop.order(stage)
    mixers = build_mixers(stage.mixers, shop.config.seed)
    origin = shop.config.origins.get(f"{stage.name}.mixers", "default")
    check_mixers(stage, dict(zip(stage.mixers, mixers, strict=True)), shop.source(stage.data), origin)
    shop.taught(stage)
    if stage.train != "student":
        for teacher in shop.teachers(stage).values():
            probe_for(teacher, statistics_for(teacher, stage.statistics), **probe_options(stage))
        shop.mixers(stage, None)
        return None
    if "student" not in stage.freeze:
        check_kinds(stage.student or shop.config.student, student, shop.teachers(stage))
    task = shop.task(replace(stage, transform="none") if stage.transform == "fitted" else stage, student, None)
    first = shop.first(stage)
    with torch.no_grad():
        context = task.context(first, 0, 1)
        check_outputs(context, task)
        _probe(shop, stage, context.batch)
        task.build(first)
    check_terms(task)
    trained_along(task)
    if next(task.trained_parameters(), None) is None and not task.learns_inside:
        raise ConfigError(f"freeze of stage '{stage.name}' leaves nothing that learns: {', '.join(stage.freeze)}")
    check_gradients(task, context.batch.image)
    return task


def _probe(shop: Workshop, stage: StageConfig, batch: Batch) -> None:
    """Ask teachers that answer from the data whether it has an answer."""
    for name, teacher in shop.teachers(stage).items():
        if hasattr(teacher, "from_batch"):
            valid = teacher.from_batch(batch).valid  # type: ignore[operator]
            if valid is not None and not bool(valid.any()):
                raise DataError(
                    f"none of the first {len(batch)} images of '{stage.data}', such as '{batch.ids[0]}', has a "
                    f"pixel of depth that teacher '{name}' could teach; see: kdcli data check '{stage.data}'"
                )
