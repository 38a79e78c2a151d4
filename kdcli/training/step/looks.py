"""Looks at a batch: the images at a point of their way, and lazy views of all models on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from kdcli.config import StageConfig
from kdcli.many.group import Group
from kdcli.networks.rounding import Convolutions, unchanged
from kdcli.protocols import Loss
from kdcli.training.seeds import seed_of
from kdcli.training.step.context import Context
from kdcli.training.step.engine import Engine
from kdcli.training.step.parts import LossPart
from kdcli.training.step.view import ModelView
from kdcli.types import Batch


@dataclass(frozen=True, slots=True)
class Look:
    """The images at one point of their way that the losses look at, with what that counts."""

    prefix: str
    """Of the names of its terms and of the losses' states: ``plain.`` ..., or nothing where there is one look only."""
    share: float
    context: Context

    def notes(self) -> dict[str, Tensor | float]:
        """Return what plugins told of it, by the names that are logged."""
        return {self.prefix + name: value for name, value in self.context.notes.items()}

    def sound(self) -> Tensor:
        """Return which images are finite, as are what was asked of the student and of an only teacher; B bool."""
        size = len(self.context.batch)
        parts = [self.context.batch.image]
        if self.context.student.evaluated:
            parts.append(self.context.student.out.depth.detach())
        if len(self.context.teachers) == 1:
            teacher = self.context.teacher
            if teacher.taught is not None:
                parts.append(teacher.taught)
            elif teacher.evaluated and teacher.out.valid is None:
                parts.append(teacher.out.depth)
        return torch.stack([_finite(part.reshape(size, -1)) for part in parts]).all(dim=0)


def _finite(rows: Tensor) -> Tensor:
    """Return which rows hold finite numbers alone; B bool.

    Their largest and smallest say so, which a CPU finds twenty times as fast as it looks at each number.
    """
    return torch.isfinite(rows.amax(dim=1)) & torch.isfinite(rows.amin(dim=1))


class Models:
    """The models of a stage, wrapped with each batch. Teachers are not part of any module tree here."""

    def __init__(
        self,
        stage: StageConfig,
        student: nn.Module,
        teachers: Mapping[str, nn.Module],
        losses: Sequence[LossPart],
        task: Loss | None,
        *,
        seed: int,
        device: torch.device,
        amp: torch.dtype | None,
        cached: Sequence[str],
        group: Group | None = None,
    ) -> None:
        """cached: names of the teachers whose depth comes with the batches, in the order of ``Batch.taught``. group: of
        processes that share each batch; None = this one alone.
        """
        self._stage, self._student, self._teachers, self._task = stage, student, dict(teachers), task
        self._seed, self._amp, self._cached = seed, amp, tuple(cached)
        self.generator = torch.Generator(device=device)
        self.engines: Mapping[str, Engine] = {}
        """Other forms of the teachers, by name."""
        self.student_engine: Engine | None = None
        self._convolutions = 0
        needs = [part.loss.needs for part in losses]
        # Gradients towards images, and statistics of layers, are of the whole batch or wrong: then all run all of it.
        inside = any(need.input_gradient != "none" for need in needs)
        self._shared = None if inside else group
        self._teachers_shared = None if inside or any(need.batch_norm for need in needs) else group
        self._student_taps = tuple({tap: None for part in losses for tap in part.loss.needs.student_taps})
        self._teacher_taps = {
            name: tuple({tap: None for part in losses for tap in part.loss.needs.teacher_taps if part.sees(name)})
            for name in teachers
        }

    def count(self, batch: Batch) -> None:
        """Find out how many convolutions the student runs, for a stage that rounds them; it is run on the batch."""
        if self._stage.quantised:
            with Convolutions(unchanged) as counting:
                self._student(batch.image)
            self._convolutions = counting.count

    def begin(self, batch: Batch, number: int, total: int, epoch: int) -> Context:
        """Put the random numbers of a batch to their start and wrap it as it came, for mixers: they may look into
        the models in any way, and every process runs all that they ask for.
        """
        self.generator.manual_seed(seed_of(self._seed, self._stage.name, number))
        if self.student_engine is not None:
            self.student_engine.begin()
        return self.on(batch, number=number, epoch=epoch, progress=number / max(total, 1), shared=False)

    def on(self, batch: Batch, *, number: int, epoch: int, progress: float, shared: bool = True) -> Context:
        """Return lazy views of all models on a batch, which the processes share out where ``shared``."""
        # The graph behind the images leads to a mixer that learns; the student's losses end before it unless asked.
        seen = batch if self._stage.transform_gradient else replace(batch, image=batch.image.detach())
        rounds = self._stage.quantised and progress >= 1 - self._stage.quantised
        kept = {} if batch.taught is None else dict(zip(self._cached, torch.split(batch.taught, 1, dim=1), strict=True))
        return Context(
            step=number // self._stage.accumulate,
            batch_number=number,
            epoch=epoch,
            stage=self._stage.name,
            progress=progress,
            generator=self.generator,
            batch=batch,
            student=ModelView(self._student, seen, gradient=True, taps=self._student_taps, amp=self._amp,
                              group=self._shared if shared else None, sync_norms=self._stage.sync_batch_norm,
                              rounded=(self._convolutions or None) if rounds else None,
                              engine=self.student_engine),
            teachers={
                name: ModelView(
                    teacher, batch, gradient=False, taps=self._teacher_taps[name], amp=self._amp,
                    taught=kept.get(name), group=self._teachers_shared if shared else None,
                    engine=self.engines.get(name),
                )
                for name, teacher in self._teachers.items()
            },
            task=self._task,
        )
