"""One step of distillation. It contains no method's name.

Mixers, context, inner updates, task loss, weighted terms. Backward, clipping and the update are the loop's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from kdcli.config import StageConfig
from kdcli.errors import ConfigError, PluginError
from kdcli.protocols import Loss, Mixer
from kdcli.training.context import Context, ModelView
from kdcli.training.mix_context import apply
from kdcli.training.seeds import seed_of
from kdcli.types import Batch, DepthKind, Prediction


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What one batch gave: the loss to go back from, its named parts, and which images were sound."""

    loss: Tensor
    terms: dict[str, Tensor]
    sound: Tensor
    """B bool: image, target and prediction are all finite."""


class DistillTask(nn.Module):
    """Student, teachers, losses and mixers of one stage, wired.

    Teachers are held outside the module tree: they are never trained, moved or saved with it. ``cached`` names those
    whose depth comes with the batches, in the order of ``Batch.taught``.
    """

    def __init__(
        self,
        stage: StageConfig,
        student: nn.Module,
        teachers: Mapping[str, nn.Module],
        losses: Mapping[str, tuple[float, Loss]],
        mixers: list[Mixer],
        task_loss: Loss | None,
        *,
        seed: int,
        device: torch.device,
        amp: torch.dtype | None = None,
        cached: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.student = student
        self.plugins = nn.ModuleDict(
            {_key(name): part for name, part in _named(losses, mixers, task_loss) if isinstance(part, nn.Module)}
        )
        self.stage, self.losses, self.mixers, self.task_loss = stage, losses, mixers, task_loss
        self._teachers, self._cached = dict(teachers), tuple(cached)
        self._seed, self._amp, self._device = seed, amp, device
        self._generator = torch.Generator(device=device)
        self.states: dict[str, dict[str, Any]] = {name: {} for name in losses}
        self._student_taps = tuple({tap for _, loss in losses.values() for tap in loss.needs.student_taps})
        self._teacher_taps = tuple({tap for _, loss in losses.values() for tap in loss.needs.teacher_taps})
        self._inner: dict[str, torch.optim.Optimizer] = {}

    def forward(self, batch: Batch, step: int, total: int, epoch: int = 0) -> StepResult:
        """Compute the loss of one batch; B x 3 x H x W on the task's device."""
        context = self.context(batch, step, total, epoch)
        for name, optimizer in self._inner.items():
            self._inner_update(name, optimizer, context)
        terms: dict[str, Tensor] = {}
        total_loss = torch.zeros((), device=self._device)
        if self.task_loss is not None and context.batch.depth is not None:
            terms["task"] = self._task(context)
            total_loss = total_loss + self.stage.task_weight * terms["task"]
        for name, (weight, loss) in self.losses.items():
            context.state = self.states[name]
            for part, value in loss.terms(context).items():
                terms[name if part == name else f"{name}.{part}"] = value
                total_loss = total_loss + weight * value
        for mixer in self.mixers:
            if hasattr(mixer, "terms"):
                for part, value in mixer.terms(context).items():
                    terms[f"transform.{part}"] = value
                    total_loss = total_loss + value
        return StepResult(
            loss=total_loss, terms={key: value.detach() for key, value in terms.items()}, sound=_sound(context)
        )

    def context(self, batch: Batch, step: int, total: int, epoch: int = 0) -> Context:
        """Mix a batch and wrap it with lazy views of all models."""
        self._generator.manual_seed(seed_of(self._seed, self.stage.name, step))
        before = ModelView(self.student, batch, gradient=True, taps=self._student_taps, amp=self._amp)
        context = Context(
            step=step,
            epoch=epoch,
            stage=self.stage.name,
            progress=step / max(total, 1),
            generator=self._generator,
            batch=batch,
            student=before,
            teachers={},
            task=self.task_loss,
        )
        batch = apply(batch, self.mixers, context)
        context.batch = batch
        # The graph behind the images leads to a mixer that learns; the student's losses end before it unless asked.
        seen = batch if self.stage.transform_gradient else replace(batch, image=batch.image.detach())
        context.student = ModelView(self.student, seen, gradient=True, taps=self._student_taps, amp=self._amp)
        kept = {} if batch.taught is None else dict(zip(self._cached, torch.split(batch.taught, 1, dim=1), strict=True))
        context.teachers = {
            name: ModelView(
                teacher, batch, gradient=False, taps=self._teacher_taps, amp=self._amp, taught=kept.get(name)
            )
            for name, teacher in self._teachers.items()
        }
        return context

    def build(self, batch: Batch) -> None:
        """Let the losses create their own modules from one probe batch, and give inner modules their optimiser."""
        with torch.no_grad():
            context = self.context(batch, 0, 1)
            for name, (_, loss) in self.losses.items():
                if hasattr(loss, "build"):
                    context.state = self.states[name]
                    loss.build(context)
        self.plugins.to(self._device)
        for name, (_, loss) in self.losses.items():
            if hasattr(loss, "inner_parameters"):
                self._inner[name] = torch.optim.Adam(loss.inner_parameters(), lr=getattr(loss, "inner_lr", 1e-3))

    def asking(self) -> list[str]:
        """Return the losses that declare that they look into a teacher, so that no cache spares its evaluation."""
        return [
            name for name, (_, loss) in self.losses.items()
            if loss.needs.teacher_taps or loss.needs.batch_norm or loss.needs.input_gradient != "none"
        ]

    def trained_parameters(self) -> Iterator[nn.Parameter]:
        """The student's and the plugins' parameters that the main optimiser moves."""
        inner = {
            id(p) for optimizer in self._inner.values() for group in optimizer.param_groups for p in group["params"]
        }
        for parameter in self.parameters():
            if parameter.requires_grad and id(parameter) not in inner:
                yield parameter

    def inner_state(self) -> dict[str, Any]:
        """State of the inner optimisers, for the checkpoint."""
        return {name: optimizer.state_dict() for name, optimizer in self._inner.items()}

    def load_inner_state(self, state: Mapping[str, Any]) -> None:
        """Restore the inner optimisers."""
        for name, optimizer in self._inner.items():
            optimizer.load_state_dict(state[name])

    def _inner_update(self, name: str, optimizer: torch.optim.Optimizer, context: Context) -> None:
        loss = self.losses[name][1]
        context.state = self.states[name]
        for _ in range(getattr(loss, "inner_steps", 1)):
            optimizer.zero_grad(set_to_none=True)
            loss.inner_loss(context).backward()  # type: ignore[attr-defined]
            optimizer.step()

    def _task(self, context: Context) -> Tensor:
        error_map, counted = context.task_map(context.student.out)
        weight = counted.to(error_map.dtype)
        for name, (_, loss) in self.losses.items():
            if hasattr(loss, "task_weight"):
                context.state = self.states[name]
                factor = loss.task_weight(context)
                if factor is not None:
                    weight = weight * factor.detach()
        return (error_map * weight).sum() / (weight > 0).sum().clamp(min=1)


def check(
    stage: StageConfig,
    student: nn.Module,
    teachers: Mapping[str, nn.Module],
    losses: Mapping[str, tuple[float, Loss]],
    task_loss: Loss | None,
) -> None:
    """Check before the first step that the losses get what they need.

    Raises:
        ConfigError: a loss that does not fit the teachers, the depth kind, the batch or the models' outputs.
    """
    kinds: dict[str, DepthKind] = {name: teacher.depth_kind for name, teacher in teachers.items()}  # type: ignore[misc]
    for name, (_, loss) in losses.items():
        if not isinstance(loss, Loss):
            raise PluginError(
                f"loss '{name}' is no loss: it lacks needs, min_value, invariances or terms; report it to its author"
            )
        needs = loss.needs
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


def _sound(context: Context) -> Tensor:
    prediction: Prediction = context.student.out
    size = len(context.batch)
    parts = [prediction.depth.detach(), context.batch.image]
    if len(context.teachers) == 1:
        taught = context.teacher.taught
        if taught is not None:
            parts.append(taught)
        elif context.teacher.out.valid is None:
            parts.append(context.teacher.out.depth)
    return torch.stack([torch.isfinite(part.reshape(size, -1)).all(dim=1) for part in parts]).all(dim=0)


def _named(
    losses: Mapping[str, tuple[float, Loss]], mixers: list[Mixer], task: Loss | None
) -> Iterator[tuple[str, object]]:
    for name, (_, loss) in losses.items():
        yield name, loss
    for i, mixer in enumerate(mixers):
        yield f"mixer{i}", mixer
    if task is not None:
        yield "task", task


def _key(name: str) -> str:
    return name.replace(".", "_")
