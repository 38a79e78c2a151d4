"""Whether the parts of a stage fit one another, asked before the first step."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from kdcli.config import StageConfig
from kdcli.errors import ConfigError, PluginError
from kdcli.protocols import Loss, Mixer
from kdcli.training.step.context import Context
from kdcli.types import DepthKind, Needs


def check_parts(
    stage: StageConfig,
    student: nn.Module,
    teachers: Mapping[str, nn.Module],
    losses: Mapping[str, tuple[float, Loss]],
    task_loss: Loss | None,
    mixers: Mapping[str, Mixer] | None = None,
) -> None:
    """Check before the first step that losses, and mixers that say what they need, get it.

    Raises:
        ConfigError: a loss that does not fit the teachers, the depth kind, the batch or the models' outputs; a part
            that needs a gradient through a teacher that gives none.
    """
    kinds: dict[str, DepthKind] = {name: teacher.depth_kind for name, teacher in teachers.items()}  # type: ignore[misc]
    for name, (_, loss) in losses.items():
        if not isinstance(loss, Loss):
            raise PluginError(
                f"loss '{name}' is no loss: it lacks needs, value_at_equality, invariances or terms; "
                "report it to its author"
            )
        needs = loss.needs
        _gradient(f"loss '{name}'", needs, teachers)
        least, most = needs.teachers
        if len(teachers) < least or (most is not None and len(teachers) > most):
            wanted = f"{least}" if most == least else f"{least} to {most or 'any number of'}"
            raise ConfigError(f"loss '{name}' needs {wanted} teachers, stage '{stage.name}' has {len(teachers)}")
        for who, kind in kinds.items():
            if kind not in needs.kinds:
                fitting = ", ".join(sorted(needs.kinds))
                raise ConfigError(
                    f"loss '{name}' does not fit teacher '{who}', whose depth is {kind} (fits: {fitting}); "
                    "try affine-invariant"
                )
        if stage.batch_size < needs.min_batch:
            raise ConfigError(
                f"loss '{name}' needs a batch of {needs.min_batch}, stage '{stage.name}' has {stage.batch_size}"
            )
        if needs.ground_truth and task_loss is None:
            raise ConfigError(f"loss '{name}' needs ground truth; set task_loss in stage '{stage.name}'")
        for tap in needs.student_taps:
            if not tap.startswith("module:") and tap not in student.taps:  # type: ignore[operator]
                raise ConfigError(f"loss '{name}' needs the student's tap '{tap}', which it does not have")
    if task_loss is not None and not hasattr(task_loss, "map"):
        raise ConfigError(f"task_loss '{stage.task_loss}' has no per-pixel map; use l1, log-l1 or berhu")
    for name, mixer in (mixers or {}).items():
        _gradient(f"mixer '{name}'", getattr(mixer, "needs", Needs()), teachers)


def check_outputs(context: Context, losses: Mapping[str, tuple[float, Loss]]) -> None:
    """Check on one batch that the student's prediction has the fields that the losses need.

    Raises:
        ConfigError: it lacks one.
    """
    for name, (_, loss) in losses.items():
        for wanted in sorted(loss.needs.outputs):
            if getattr(context.student.out, wanted, None) in (None, ()):
                raise ConfigError(
                    f"loss '{name}' needs the student's {wanted}, which it does not give; use a student that has them, "
                    "for example mobilenet,head=bins"
                )


def _gradient(part: str, needs: Needs, teachers: Mapping[str, nn.Module]) -> None:
    if needs.input_gradient == "none":
        return
    for name, teacher in teachers.items():
        if not getattr(teacher, "differentiable", True):
            raise ConfigError(
                f"{part} needs a gradient through teacher '{name}', which gives none to its image; use another teacher"
            )
