"""One step of distillation. It contains no method's name.

Mixers, contexts, inner updates, task loss, weighted terms. Backward, clipping and the update are the loop's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from kdcli.config import StageConfig
from kdcli.protocols import Loss, Mixer
from kdcli.training.seeds import seed_of
from kdcli.training.step.context import Context, ModelView
from kdcli.training.step.inner import InnerUpdates
from kdcli.training.step.mixing import apply
from kdcli.types import Batch, Prediction


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What one batch gave: the loss to go back from, its named parts, and which images were sound."""

    loss: Tensor
    terms: dict[str, Tensor]
    sound: Tensor
    """B bool: image, target and prediction are all finite."""


@dataclass(frozen=True, slots=True)
class _Look:
    """The images at one point of their way that the losses look at, with what that counts."""

    prefix: str
    """Of the names of its terms and of the losses' states: ``plain.`` ..., or nothing where there is one look only."""
    share: float
    context: Context


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
        self.stage, self.losses, self.mixers, self.task_loss = stage, losses, mixers, task_loss
        parts: dict[str, Any] = {name: loss for name, (_, loss) in losses.items()} | _numbered(mixers)
        if task_loss is not None:
            parts["task"] = task_loss
        self.plugins = nn.ModuleDict({_key(n): part for n, part in parts.items() if isinstance(part, nn.Module)})
        self.states: dict[str, dict[str, Any]] = {name: {} for name in losses}
        self._inner = InnerUpdates(parts)
        self._teachers, self._cached = dict(teachers), tuple(cached)
        self._seed, self._amp, self._device = seed, amp, device
        self._generator = torch.Generator(device=device)
        self._student_taps = tuple({tap for _, loss in losses.values() for tap in loss.needs.student_taps})
        self._teacher_taps = tuple({tap for _, loss in losses.values() for tap in loss.needs.teacher_taps})

    def forward(self, batch: Batch, step: int, total: int, epoch: int = 0) -> StepResult:
        """Compute the loss of one batch; B x 3 x H x W on the task's device."""
        begun = self._begin(batch, step, total, epoch)
        for name in _numbered(self.mixers):
            self._inner.step(name, self._for(begun, name))
        looks = self._mix(begun)
        last = looks[-1]
        for name in self.losses:
            self._inner.step(name, self._for(last.context, last.prefix + name))
        terms: dict[str, Tensor] = {}
        total_loss = torch.zeros((), device=self._device)
        for look in looks:
            for name, weight, value in self._terms(look):
                terms[look.prefix + name] = value
                total_loss = total_loss + look.share * weight * value
        for mixer in self.mixers:
            if hasattr(mixer, "terms"):
                for part, value in mixer.terms(last.context).items():
                    terms[f"transform.{part}"] = value
                    total_loss = total_loss + value
        sound = torch.stack([_sound(look.context) for look in looks]).all(dim=0)
        return StepResult(loss=total_loss, terms={key: value.detach() for key, value in terms.items()}, sound=sound)

    def context(self, batch: Batch, step: int, total: int, epoch: int = 0) -> Context:
        """Mix a batch and wrap it with lazy views of all models; the last of several looks."""
        return self._mix(self._begin(batch, step, total, epoch))[-1].context

    def build(self, batch: Batch) -> None:
        """Let plugins create their own modules from one probe batch, and give inner parameters their optimisers."""
        with torch.no_grad():
            look = self._mix(self._begin(batch, 0, 1, 0))[-1]
            for name, (_, loss) in self.losses.items():
                if hasattr(loss, "build"):
                    loss.build(self._for(look.context, look.prefix + name))
        self.plugins.to(self._device)
        self._inner.begin()

    def asking(self) -> list[str]:
        """Return the losses that declare that they look into a teacher, so that no cache spares its evaluation."""
        return [
            name for name, (_, loss) in self.losses.items()
            if loss.needs.teacher_taps or loss.needs.batch_norm or loss.needs.input_gradient != "none"
        ]

    def trained_parameters(self) -> Iterator[nn.Parameter]:
        """The student's and the plugins' parameters that the main optimiser moves."""
        inner = {id(parameter) for parameter in self._inner.parameters()}
        for parameter in self.parameters():
            if parameter.requires_grad and id(parameter) not in inner:
                yield parameter

    def inner_state(self) -> dict[str, Any]:
        """State of the inner optimisers, for the checkpoint."""
        return self._inner.state()

    def load_inner_state(self, state: Mapping[str, Any]) -> None:
        """Restore the inner optimisers."""
        self._inner.load(state)

    def _begin(self, batch: Batch, step: int, total: int, epoch: int) -> Context:
        """Put the random numbers of a step to their start and wrap the batch as it came."""
        self._generator.manual_seed(seed_of(self._seed, self.stage.name, step))
        return self._wrap(batch, step=step, epoch=epoch, progress=step / max(total, 1))

    def _mix(self, begun: Context) -> list[_Look]:
        """Apply the mixers and return the looks that count: at the final images, or at those that the stage names."""
        own = len(self.stage.mixers)  # behind them comes the transformation network, if there is one
        mixed = apply(begun.batch, self.mixers[:own], begun)
        final = apply(mixed, self.mixers[own:], begun)
        images = {"plain": begun.batch, "mixed": mixed, "transformed": final}
        shares = dict(self.stage.views)
        chosen = [(f"{name}.", shares[name], at) for name, at in images.items() if shares.get(name)]
        counters: dict[str, Any] = {"step": begun.step, "epoch": begun.epoch, "progress": begun.progress}
        return [
            _Look(prefix, share, self._wrap(batch, **counters))
            for prefix, share, batch in chosen or [("", 1.0, final)]
        ]

    def _wrap(self, batch: Batch, *, step: int, epoch: int, progress: float) -> Context:
        """Return lazy views of all models on a batch."""
        # The graph behind the images leads to a mixer that learns; the student's losses end before it unless asked.
        seen = batch if self.stage.transform_gradient else replace(batch, image=batch.image.detach())
        kept = {} if batch.taught is None else dict(zip(self._cached, torch.split(batch.taught, 1, dim=1), strict=True))
        return Context(
            step=step,
            epoch=epoch,
            stage=self.stage.name,
            progress=progress,
            generator=self._generator,
            batch=batch,
            student=ModelView(self.student, seen, gradient=True, taps=self._student_taps, amp=self._amp),
            teachers={
                name: ModelView(
                    teacher, batch, gradient=False, taps=self._teacher_taps, amp=self._amp, taught=kept.get(name)
                )
                for name, teacher in self._teachers.items()
            },
            task=self.task_loss,
        )

    def _for(self, context: Context, name: str) -> Context:
        """Return the context with the small store of the part that is asked next."""
        context.state = self.states.setdefault(name, {})
        return context

    def _terms(self, look: _Look) -> Iterator[tuple[str, float, Tensor]]:
        """Yield name, weight and value of the terms on one look at the images, the task loss first."""
        if self.task_loss is not None and look.context.batch.depth is not None:
            yield "task", self.stage.task_weight, self._task(look)
        for name, (weight, loss) in self.losses.items():
            for part, value in loss.terms(self._for(look.context, look.prefix + name)).items():
                yield name if part == name else f"{name}.{part}", weight, value

    def _task(self, look: _Look) -> Tensor:
        error_map, counted = look.context.task_map(look.context.student.out)
        weight = counted.to(error_map.dtype)
        for name, (_, loss) in self.losses.items():
            if hasattr(loss, "task_weight"):
                factor = loss.task_weight(self._for(look.context, look.prefix + name))
                if factor is not None:
                    weight = weight * factor.detach()
        return (error_map * weight).sum() / (weight > 0).sum().clamp(min=1)


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


def _numbered(mixers: list[Mixer]) -> dict[str, Mixer]:
    return {f"mixer{i}": mixer for i, mixer in enumerate(mixers)}


def _key(name: str) -> str:
    return name.replace(".", "_")
