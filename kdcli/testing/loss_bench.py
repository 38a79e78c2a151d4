"""What the checks of a loss stand on: fresh losses, contexts that have what the loss needs, changed models."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.errors import KdcliError
from kdcli.losses.pointwise import L1
from kdcli.protocols import Loss
from kdcli.testing.context import FakeContext, teacher_names
from kdcli.testing.draws import cpu_seeded
from kdcli.testing.make import Subject
from kdcli.testing.own import Lent, Own, changed, with_depth
from kdcli.testing.points import FIRST, POINTS, USUAL, Point
from kdcli.testing.report import Failure, expect
from kdcli.testing.toys import ToyDepth, toy_batch
from kdcli.types import Batch, DepthKind, Needs, Prediction

SIZE, OWN_SIZE = (32, 48), (64, 96)
"""Images for toys, and for an author's own networks, which may not take smaller ones."""


class LossBench:
    """Makes losses and contexts that fit each other, of toys or of what the author gives."""

    def __init__(self, it: Subject, own: Own | None = None) -> None:
        self.it, self.own = it, own or Own()
        self.size = OWN_SIZE if self.own.models else SIZE
        self._built: list[Any] = []
        self._lent = Lent()

    @property
    def owner(self) -> str:
        """How messages call the loss."""
        return f"{self.it.kind} '{self.it.name}'"

    def make(self) -> tuple[Any, FakeContext]:
        """Return a fresh loss with a fresh context."""
        loss = self.it.build()
        ctx = self.context(loss)
        return self.built(loss, ctx), ctx

    def built(self, loss: Any, ctx: FakeContext) -> Any:
        """Let a loss make its own modules, once, as training does: on a batch of its own, under a seed, no gradient."""
        if hasattr(loss, "build") and not any(done is loss for done in self._built):
            self._built.append(loss)
            with torch.no_grad(), cpu_seeded(0):
                loss.build(ctx.at(FIRST, anew=True))
        return loss

    def total(self, loss: Any, ctx: FakeContext) -> Tensor:
        """Return the sum of the terms, 0 where there is none."""
        terms = list(self.built(loss, ctx).terms(ctx).values())
        return torch.stack(terms).sum() if terms else ctx.batch.image.new_zeros(())

    def everywhere(self, loss: Any, ctx: FakeContext) -> Iterator[tuple[Point, Tensor]]:
        """Yield the sum of the terms at every point; the models look at the batch once."""
        for point in POINTS:
            yield point, self.total(loss, ctx.at(point))

    def context(self, loss: Any, *, student: nn.Module | None = None, teacher: nn.Module | None = None,
                batch: Batch | None = None, kind: DepthKind | None = None, task: bool = True,
                dtype: torch.dtype = torch.float32, amp: torch.dtype | None = None) -> FakeContext:
        """Return a context that has what the loss needs.

        teacher: in the place of the first one. task: False for a stage without a task loss.
        """
        batch = self.batch(loss, dtype=dtype) if batch is None else batch
        device = batch.image.device
        models = self.teachers(loss, kind=kind, device=device, dtype=dtype)
        if teacher is not None:
            models[next(iter(models))] = teacher
        if student is None:
            student = self.student(loss, kind=kind, device=device, dtype=dtype)
        frozen = {name: model.eval().requires_grad_(False) for name, model in models.items()}
        return FakeContext(
            batch=batch, student=student, teachers=frozen, task=self.task() if task else None, amp=amp,
            owner=self.owner, step=USUAL.step, batch_number=USUAL.batch_number,
            epoch=USUAL.epoch, stage=USUAL.stage, progress=USUAL.progress,
        )

    def task(self) -> Loss:
        """Return the task loss: the author's, or the absolute difference."""
        return self.own.task or L1()

    def kind(self, loss: Any) -> DepthKind:
        """Return the depth kind to try with: that of the author's networks, or one that the loss is meant for."""
        given = next(iter(self.own.teachers.values()), self.own.student)
        return kind_of(loss.needs) if given is None else DepthKind(str(given.depth_kind))

    def student(self, loss: Any, *, kind: DepthKind | None = None, device: torch.device | str = "cpu",
                dtype: torch.dtype = torch.float32) -> nn.Module:
        """Return the student: the author's, or a toy that gives what the loss needs."""
        kind = kind or self.kind(loss)

        def made() -> nn.Module:
            given = copy.deepcopy(self.own.student)
            return (self.toy(loss, seed=1, kind=kind) if given is None else given).to(device, dtype)

        return self._lent.get((None, kind, str(device), dtype), made)

    def teachers(self, loss: Any, *, kind: DepthKind | None = None, device: torch.device | str = "cpu",
                 dtype: torch.dtype = torch.float32) -> dict[str, nn.Module]:
        """Return the teachers by name: the author's, or as many toys as the loss needs."""
        kind = kind or self.kind(loss)
        names = list(self.own.teachers) or teacher_names(max(1, loss.needs.teachers[0]))

        def made(name: str) -> Callable[[], nn.Module]:
            given, seed = self.own.teachers.get(name), 2 + names.index(name)
            return lambda: (
                self.toy(loss, seed=seed, kind=kind) if given is None else copy.deepcopy(given)
            ).to(device, dtype)

        return {name: self._lent.get((name, kind, str(device), dtype), made(name)) for name in names}

    def toy(self, loss: Any, *, seed: int, kind: DepthKind | None = None) -> ToyDepth:
        """Return a toy network that fits the loss: the student's has seed 1."""
        needs: Needs = loss.needs
        taps, outputs = (
            (needs.student_taps, needs.outputs) if seed == 1 else (needs.teacher_taps, needs.teacher_outputs)
        )
        return ToyDepth(kind=kind or self.kind(loss), seed=seed, taps=taps, spread=bool(outputs & {"std", "entropy"}))

    def alike(self, loss: Any) -> tuple[nn.Module, nn.Module]:
        """Return a student and a teacher that are the same network."""
        needs = loss.needs
        if self.own.models:
            either = self.own.student or next(iter(self.own.teachers.values()))
            return copy.deepcopy(either).eval(), copy.deepcopy(either).eval()
        spread = bool((needs.outputs | needs.teacher_outputs) & {"std", "entropy"})
        made = [
            ToyDepth(kind=self.kind(loss), seed=2, taps=taps, spread=spread).eval()
            for taps in (needs.student_taps, needs.teacher_taps)
        ]
        return made[0], made[1]

    def count(self, loss: Any) -> int:
        """Return how many images to give."""
        return max(2, int(loss.needs.min_batch))

    def batch(self, loss: Any, *, count: int | None = None, dtype: torch.dtype = torch.float32) -> Batch:
        """Return a batch that is large enough."""
        batch = toy_batch(batch=count or self.count(loss), size=self.size, dtype=dtype)
        return batch if batch.intrinsics is None else replace(batch, intrinsics=batch.intrinsics.to(dtype))

    def value_with(self, loss: Any, change: Callable[[Tensor], Tensor]) -> float:
        """Return the value with the student's depth changed."""
        student = changed(self.student(loss), with_depth(change))
        return self.total(loss, self.context(loss, student=student)).item()

    def finite_or_refused(self, loss: Any, ctx: FakeContext, *, may_refuse: bool = False) -> str:
        """Expect finite values with finite gradients at every point; an error of kdcli will do where allowed."""
        values = []
        try:
            for point, value in self.everywhere(loss, ctx):
                expect(torch.isfinite(value), f"is {value.item()} at {point}")
                values.append(value)
        except KdcliError as error:
            if may_refuse:
                return f"refused: {error}"
            raise
        gradients_finite(torch.stack(values).sum(), ctx)
        return f"{values[0].item():.4g}"


def gradients_finite(value: Tensor, ctx: FakeContext) -> None:
    """Expect finite gradients in the student.

    Raises:
        Failure: a parameter gets one that is not.
    """
    if not value.requires_grad:
        return
    torch.autograd.backward(value)
    for name, parameter in ctx.student.model.named_parameters():
        if parameter.grad is not None and not torch.isfinite(parameter.grad).all():
            raise Failure(f"the student's {name} gets a gradient that is not finite")


def blind(out: Prediction) -> Prediction:
    """Return a prediction that holds none of its own pixels for valid."""
    return replace(out, valid=torch.zeros_like(out.depth, dtype=torch.bool))


def enlarged(out: Prediction) -> Prediction:
    """Return a prediction at twice its resolution."""
    depth = functional.interpolate(out.depth, scale_factor=2, mode="bilinear", align_corners=False)
    valid = out.valid
    if valid is not None:
        valid = functional.interpolate(valid.float(), scale_factor=2, mode="nearest") > 0.5
    return replace(out, depth=depth, valid=valid)


def scaled(depth: Tensor) -> Tensor:
    """Return depth times another factor for each image."""
    factor = torch.linspace(0.5, 1.7, len(depth), device=depth.device, dtype=depth.dtype)
    return depth * factor.view(-1, 1, 1, 1)


def shifted(depth: Tensor) -> Tensor:
    """Return depth plus another offset for each image."""
    offset = torch.linspace(0.4, 1.3, len(depth), device=depth.device, dtype=depth.dtype)
    return depth + offset.view(-1, 1, 1, 1)


def kind_of(needs: Needs) -> DepthKind:
    """Return the depth kind to try a loss with."""
    return DepthKind.METRIC if DepthKind.METRIC in needs.kinds else min(needs.kinds)

