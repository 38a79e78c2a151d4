"""Whether the parts of a stage fit one another, asked before the first step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from kdcli.config import StageConfig
from kdcli.errors import ConfigError, PluginError
from kdcli.losses.base import DepthLoss
from kdcli.networks.second_order import without_second_derivative
from kdcli.networks.taps import locate
from kdcli.protocols import Loss, Mixer, Source
from kdcli.sources.parts import unmet
from kdcli.training.step.context import Context
from kdcli.training.step.parts import LossPart
from kdcli.training.step.task import DistillTask
from kdcli.types import DepthKind, Needs

PROBE = 64
"""Pixels of the image on which second derivatives are tried; larger only where a student asks for more."""


def check_parts(
    stage: StageConfig,
    student: nn.Module,
    teachers: Mapping[str, nn.Module],
    losses: Sequence[LossPart],
    task_loss: Loss | None,
    source: Source,
    mixers: Mapping[str, Mixer] | None = None,
) -> None:
    """Check before the first step that losses, and mixers that say what they need, get it.

    Raises:
        ConfigError: a loss that does not fit its teachers, the depth kind, the batch, the data or the models; a part
            that needs a gradient through a teacher that gives none. PluginError: a loss that is none.
    """
    for part in losses:
        name, loss = f"loss '{part.name}'", part.loss
        if not isinstance(loss, Loss):
            raise PluginError(
                f"{name} is no loss: it lacks needs, value_at_equality, invariances or terms; report it to its author"
            )
        own = {who: model for who, model in teachers.items() if not part.teachers or who in part.teachers}
        _check_needs(name, loss.needs, stage, own, task_loss, source)
        for tap in loss.needs.student_taps:
            _tap(name, "the student", student, tap)
        for who, teacher in own.items():
            for tap in loss.needs.teacher_taps:
                _tap(name, f"teacher '{who}'", teacher, tap)
    if task_loss is not None and not hasattr(task_loss, "map"):
        raise ConfigError(f"task_loss '{stage.task_loss}' has no per-pixel map; use l1, log-l1 or berhu")
    for text, mixer in (mixers or {}).items():
        _gradient(f"mixer '{text}'", getattr(mixer, "needs", Needs()), teachers)


def check_mixers(stage: StageConfig, mixers: Mapping[str, Mixer], source: Source, origin: str) -> None:
    """Check that a stage's images come with what its mixers say they need. origin: who named the mixers.

    Raises:
        ConfigError: one of them lacks something.
    """
    for text, part in unmet(mixers, source):
        way = (
            "--recipe auto or own-images distils on such images, --mixer cutmix mixes them"
            if origin == "recipe" else
            "leave it out, take another such as cutmix, or a source with objects such as sim:blocks"
        )
        raise ConfigError(f"mixer '{text}' of stage '{stage.name}' needs {part} and '{stage.data}' has none; {way}")


def check_outputs(context: Context, task: DistillTask) -> None:
    """Check on one batch that predictions have the fields that the losses need.

    Raises:
        ConfigError: one lacks them.
    """
    for part, own in task.contexts(context):
        needs = part.loss.needs
        for wanted in sorted(needs.outputs):
            if getattr(own.student.out, wanted, None) in (None, ()):
                raise ConfigError(
                    f"loss '{part.name}' needs the student's {wanted}, which it does not give; use a student that has "
                    "them, for example mobilenet,head=bins"
                )
        for wanted in sorted(needs.teacher_outputs):
            for who, view in own.teachers.items():
                if getattr(view.out, wanted, None) in (None, ()):
                    raise ConfigError(
                        f"loss '{part.name}' needs {wanted} of teacher '{who}', which does not give it; use another "
                        "teacher"
                    )


def check_terms(task: DistillTask) -> None:
    """Check that built-in losses have the terms that were given weights, before anything is fitted or learned.

    What terms another loss has is known when it runs, which may take what an earlier stage has learned.

    Raises:
        ConfigError: a loss has no such term.
    """
    for part in task.losses:
        if isinstance(part.loss, DepthLoss) and type(part.loss).terms is DepthLoss.terms:
            part.check_terms({part.loss.name: None})


def check_gradients(task: DistillTask, image: Tensor) -> None:
    """Check on a small image that a student has the second derivatives that losses ask for.

    Raises:
        ConfigError: a layer has none; the message names it.
    """
    asking = [part.name for part in task.losses if part.loss.needs.double_backward]
    if not asking:
        return
    height, width = (min(side, PROBE) for side in image.shape[-2:])
    for size in ((height, width), (int(image.shape[-2]), int(image.shape[-1]))):
        try:
            found = without_second_derivative(task.student, image[:2, :, : size[0], : size[1]].float())
        except RuntimeError:  # too small for this student, tried at its own size
            if size == tuple(image.shape[-2:]):
                raise
            continue
        if found is not None:
            raise ConfigError(
                f"loss '{asking[0]}' differentiates the student twice, which {found} does not allow; use a student "
                "with other activations"
            )
        return


def _check_needs(
    name: str, needs: Needs, stage: StageConfig, teachers: Mapping[str, nn.Module], task_loss: Loss | None,
    source: Source,
) -> None:
    if not needs.kinds:
        raise PluginError(
            f"{name} does not state the depth kinds that it is meant for: needs=Needs(kinds=...) with ANY_KIND, "
            "POSITIVE_DEPTH or a set of its own; report it to its author"
        )
    _gradient(name, needs, teachers)
    least, most = needs.teachers
    if len(teachers) < least or (most is not None and len(teachers) > most):
        wanted = f"{least}" if most == least else f"{least} or more" if most is None else f"{least} to {most}"
        raise ConfigError(
            f"{name} needs {wanted} teachers, stage '{stage.name}' gives it {len(teachers)}; choose by teacher=NAME"
        )
    for who, teacher in teachers.items():
        kind = DepthKind(str(teacher.depth_kind))
        if kind not in needs.kinds:
            fitting = ", ".join(sorted(needs.kinds))
            raise ConfigError(
                f"{name} does not fit teacher '{who}', whose depth is {kind} (fits: {fitting}); try affine-invariant"
            )
    if stage.batch_size < needs.min_batch:
        raise ConfigError(f"{name} needs a batch of {needs.min_batch}, stage '{stage.name}' has {stage.batch_size}")
    if needs.ground_truth and source.depth_kind is None:
        raise ConfigError(f"{name} needs depth, and '{stage.data}' has none; use a source with depth")
    if needs.task_map and task_loss is None:
        raise ConfigError(f"{name} asks for the task loss; set task_loss in stage '{stage.name}'")
    if needs.precision == "full" and stage.amp in ("bf16", "fp16"):
        raise ConfigError(f"{name} needs full precision, stage '{stage.name}' has amp=bf16; use amp=auto or amp=off")


def _tap(part: str, who: str, model: nn.Module, tap: str) -> None:
    try:
        locate(model, tap)
    except ConfigError as error:
        raise ConfigError(f"{part} needs tap '{tap}' of {who}, which it does not have: {error}") from None


def _gradient(part: str, needs: Needs, teachers: Mapping[str, nn.Module]) -> None:
    if needs.input_gradient == "none":
        return
    for name, teacher in teachers.items():
        if not getattr(teacher, "differentiable", True):
            raise ConfigError(
                f"{part} needs a gradient through teacher '{name}', which gives none to its image; use another teacher"
            )
