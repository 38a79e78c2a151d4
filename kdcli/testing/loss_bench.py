"""What the checks of a loss stand on: fresh losses, contexts that have what the loss needs, changed models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from kdcli.errors import KdcliError
from kdcli.testing.context import FakeContext, fake_context
from kdcli.testing.make import Subject
from kdcli.testing.report import Failure, expect
from kdcli.testing.toys import ToyDepth, toy_batch
from kdcli.types import Batch, DepthKind, Needs, Prediction


class LossBench:
    """Makes losses and contexts that fit each other."""

    def __init__(self, it: Subject) -> None:
        self.it = it
        self._built: list[Any] = []

    def make(self) -> tuple[Any, FakeContext]:
        """Return a fresh loss with a fresh context."""
        loss = self.it.build()
        ctx = self.context(loss)
        return self.built(loss, ctx), ctx

    def built(self, loss: Any, ctx: FakeContext) -> Any:
        """Let a loss make its own modules, once, from numbers that do not depend on what ran before."""
        if hasattr(loss, "build") and not any(done is loss for done in self._built):
            self._built.append(loss)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                loss.build(ctx)
        return loss

    def total(self, loss: Any, ctx: FakeContext) -> Tensor:
        """Return the sum of the terms, 0 where there is none."""
        terms = list(self.built(loss, ctx).terms(ctx).values())
        return torch.stack(terms).sum() if terms else ctx.batch.image.new_zeros(())

    def context(self, loss: Any, *, student: nn.Module | None = None, teacher: nn.Module | None = None,
                batch: Batch | None = None, kind: DepthKind | None = None) -> FakeContext:
        """Return a context that has what the loss needs."""
        needs: Needs = loss.needs
        count = max(1, needs.teachers[0])
        given: Any = count
        if teacher is not None:
            others = {f"teacher{i}": self.toy(loss, seed=2 + i) for i in range(1, count)}
            given = {"teacher" if count == 1 else "teacher0": teacher, **others}
        return fake_context(
            batch=self.batch(loss) if batch is None else batch, student=student, teachers=given,
            kind=kind or _kind(needs), taps=_taps(needs),
        )

    def toy(self, loss: Any, *, seed: int, stride: int = 2) -> ToyDepth:
        """Return a toy network that fits the loss."""
        return ToyDepth(kind=_kind(loss.needs), seed=seed, stride=stride, taps=_taps(loss.needs)).eval()

    def count(self, loss: Any) -> int:
        """Return how many images to give."""
        return max(2, int(loss.needs.min_batch))

    def batch(self, loss: Any) -> Batch:
        """Return a batch that is large enough."""
        return toy_batch(batch=self.count(loss))

    def value_with(self, loss: Any, change: Callable[[Tensor], Tensor]) -> float:
        """Return the value with the student's depth changed."""
        student = Changed(self.toy(loss, seed=1), change)
        return self.total(loss, self.context(loss, student=student)).item()

    def finite_or_refused(self, loss: Any, ctx: FakeContext, *, may_refuse: bool = True) -> str:
        """Expect a finite value with finite gradients; an error of kdcli will do where allowed."""
        try:
            value = self.total(loss, ctx)
        except KdcliError as error:
            if may_refuse:
                return f"refused: {error}"
            raise
        expect(torch.isfinite(value), f"is {value.item()}")
        gradients_finite(value, ctx)
        return f"{value.item():.4g}"


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


class Changed(nn.Module):
    """A model whose depth is changed afterwards."""

    def __init__(self, inner: ToyDepth, change: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.inner, self.change = inner, change
        self.depth_kind, self.depth_range = inner.depth_kind, inner.depth_range
        self.taps = {name: replace(tap, module=f"inner.{tap.module}") for name, tap in inner.taps.items()}

    def forward(self, image: Tensor) -> Prediction:
        """Return the changed prediction."""
        out: Prediction = self.inner(image)
        return replace(out, depth=self.change(out.depth))


class Blind(Changed):
    """A model that holds none of its own pixels for valid."""

    def __init__(self, inner: ToyDepth) -> None:
        super().__init__(inner, lambda depth: depth)

    def forward(self, image: Tensor) -> Prediction:
        """Return the prediction with nothing valid."""
        out = super().forward(image)
        return replace(out, valid=torch.zeros_like(out.depth, dtype=torch.bool))


def scaled(depth: Tensor) -> Tensor:
    """Return depth times another factor for each image."""
    factor = torch.linspace(0.5, 1.7, len(depth), device=depth.device, dtype=depth.dtype)
    return depth * factor.view(-1, 1, 1, 1)


def shifted(depth: Tensor) -> Tensor:
    """Return depth plus another offset for each image."""
    offset = torch.linspace(0.4, 1.3, len(depth), device=depth.device, dtype=depth.dtype)
    return depth + offset.view(-1, 1, 1, 1)


def _kind(needs: Needs) -> DepthKind:
    return DepthKind.METRIC if DepthKind.METRIC in needs.kinds else min(needs.kinds)


def _taps(needs: Needs) -> tuple[str, ...]:
    return (*needs.student_taps, *needs.teacher_taps)
