"""A step context without a trainer: training's own, on toy models, for the tests of losses and mixers."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from kdcli.losses.pointwise import L1
from kdcli.protocols import Loss
from kdcli.testing.points import Point
from kdcli.testing.toys import ToyDepth, toy_batch
from kdcli.training.step.context import Context
from kdcli.training.step.mixing import MixStep
from kdcli.training.step.state import PluginState
from kdcli.training.step.view import ModelView
from kdcli.types import Batch, DepthKind, Prediction


class FakeView(ModelView):
    """A view as in training, which counts the evaluations of its model in ``passes``."""

    def __init__(self, model: nn.Module, batch: Batch, *, gradient: bool, amp: torch.dtype | None = None) -> None:
        super().__init__(model, batch, gradient=gradient, amp=amp)
        self.passes = 0

    def call(self, image: Tensor, **options: Any) -> Any:
        """Run the model on other images."""
        self.passes += 1
        return super().call(image, **options)

    def subset(self, index: Tensor) -> FakeView:
        """A view on some of the images only."""
        return FakeView(self.model, self.batch.select(index), gradient=self._gradient, amp=self._amp)

    def _evaluate(self, taps: Sequence[str]) -> Prediction:
        self.passes += 1
        return super()._evaluate(taps)


class FakeContext(Context):
    """All that ``kdcli.protocols.StepContext`` promises, as training keeps it. Made by ``fake_context``."""

    student: FakeView
    teachers: Mapping[str, FakeView]

    def __init__(
        self, *, batch: Batch, student: nn.Module, teachers: Mapping[str, nn.Module], task: Loss | None = None,
        seed: int = 0, step: int = 3, batch_number: int | None = None, epoch: int = 0, stage: str = "main",
        progress: float = 0.25, owner: str = "the plugin", amp: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            step=step, batch_number=step if batch_number is None else batch_number, epoch=epoch, stage=stage,
            progress=progress, batch=batch, generator=_generator(batch, seed), task=task,
            student=FakeView(student, batch, gradient=True, amp=amp),
            teachers={name: FakeView(model, batch, gradient=False, amp=amp) for name, model in teachers.items()},
        )
        self.state = PluginState(owner)
        self._prefix = "plugin"
        self._seed, self._owner = seed, owner

    def at(self, point: Point, *, anew: bool = False) -> FakeContext:
        """Return the context of another point of a run: random numbers, store and notes are as at the start.

        What the models said is shared, which saves evaluating them. anew: ask them again.
        """
        other = copy.copy(self)
        other.step, other.batch_number, other.epoch = point.step, point.batch_number, point.epoch
        other.stage, other.progress = point.stage, point.progress
        other.generator = _generator(self.batch, self._seed)
        other.state, other.notes = PluginState(self._owner), {}
        if anew:
            other.student = FakeView(self.student.model, self.batch, gradient=True, amp=self.student._amp)
            other.teachers = {
                name: FakeView(view.model, self.batch, gradient=False, amp=view._amp)
                for name, view in self.teachers.items()
            }
            other._targets, other._truths = {}, {}
        return other


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeMix(MixStep):
    """What a mixer is given and nothing more, at a point where batches and updates are not the same."""

    number: int

    @property
    def batch_number(self) -> int:
        """Batches of the stage that are done."""
        return self.number


def fake_context(
    *, batch: Batch | None = None, student: nn.Module | None = None,
    teachers: nn.Module | Mapping[str, nn.Module] | int = 1, taps: Sequence[str] = (),
    teacher_taps: Sequence[str] | None = None, kind: DepthKind = DepthKind.METRIC, dtype: torch.dtype = torch.float32,
    task: Loss | None = None, **counters: Any,
) -> FakeContext:
    """Return a context on toy models; whatever is not given is made.

    student: your own where the loss asks for more than a toy has. task: the task loss, by default the absolute
    difference. teachers: one model, models by name, or how many toys to make. taps: names that the toys have to know,
    ``teacher_taps`` those of teachers where they differ; of the same place in the lists they have the same shape.
    counters: ``seed``, ``step``, ``batch_number`` (by default the step), ``epoch``, ``stage``, ``progress``.
    """
    batch = toy_batch(dtype=dtype) if batch is None else batch
    device = batch.image.device
    if student is None:
        student = ToyDepth(kind=kind, seed=1, taps=taps).to(device, dtype).eval()
    if isinstance(teachers, int):
        known = taps if teacher_taps is None else teacher_taps
        toys = [ToyDepth(kind=kind, seed=2 + i, taps=known).to(device, dtype) for i in range(teachers)]
        models: Mapping[str, nn.Module] = dict(zip(teacher_names(teachers), toys, strict=True))
    else:
        models = {"teacher": teachers} if isinstance(teachers, nn.Module) else teachers
    frozen = {name: model.eval().requires_grad_(False) for name, model in models.items()}
    return FakeContext(batch=batch, student=student, teachers=frozen, task=task or L1(), **counters)


def fake_mix(batch: Batch, point: Point, *, seed: int = 0) -> FakeMix:
    """Return what a mixer is given outside training: counters, random numbers and ``note``, no models."""
    return FakeMix(
        step=point.step, number=point.batch_number, epoch=point.epoch, stage=point.stage, progress=point.progress,
        generator=_generator(batch, seed),
    )


def teacher_names(count: int) -> list[str]:
    """Return the names of so many toy teachers."""
    return ["teacher"] if count == 1 else [f"teacher{i}" for i in range(count)]


def _generator(batch: Batch, seed: int) -> torch.Generator:
    return torch.Generator(device=batch.image.device).manual_seed(seed)
