"""Compare a loss's gradient with finite differences, in float64, at every point of a run."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from kdcli.testing.context import FakeContext
from kdcli.testing.loss_bench import LossBench
from kdcli.testing.points import POINTS, Point
from kdcli.testing.report import Failure, Skip, expect
from kdcli.testing.toys import toy_batch
from kdcli.types import Batch, DepthKind, Needs, Prediction, Tap

STEP = 1e-3
"""Of the central difference: small beside a depth, large beside what a loss that computes in float32 rounds away."""
_PIXELS, _DIRECTIONS = 6, 2
"""Places at each point of a run; all points together make the share that has to agree."""
_PARAMETERS = 4000
"""Of a network that a whole step suits; longer directions go less far in each."""


def check_differences(bench: LossBench) -> str:
    """Expect agreement at four of five places; a kink, or a statistic that is detached on purpose, may spoil a few.

    A loss on depth alone is tried pixel by pixel. One that looks at features, distributions or into a network of the
    author's is tried along random directions of the student's parameters, where kinks are met more often.
    """
    loss = bench.it.build()
    needs: Needs = loss.needs
    inside = (
        needs.outputs or needs.teacher_outputs or needs.student_taps or needs.teacher_taps or needs.double_backward
        or needs.input_gradient != "none" or needs.batch_norm
    )
    if inside:
        return _along_parameters(bench, loss)
    try:
        return _by_pixel(bench, loss)
    except (Failure, Skip):
        raise
    except Exception:
        if not bench.own.models:
            raise
        return _along_parameters(bench, bench.it.build())


class _Fixed(nn.Module):
    """A model that has its depth for each image of the batch, whatever it shows."""

    def __init__(self, depth: Tensor, kind: DepthKind) -> None:
        super().__init__()
        self.depth, self.depth_kind, self.depth_range = depth, kind, (0.1, 100.0)
        self.taps: dict[str, Tap] = {}

    def forward(self, image: Tensor) -> Prediction:
        return self._said(list(range(len(image))))

    def from_batch(self, batch: Batch) -> Prediction:
        return self._said([int(name.removeprefix("toy")) for name in batch.ids])

    def _said(self, images: list[int]) -> Prediction:
        whole = images == list(range(len(self.depth)))
        # Not the leaf itself, which carries its flag into no_grad.
        return Prediction(depth=self.depth.clone() if whole else self.depth[images], kind=self.depth_kind)


def _by_pixel(bench: LossBench, loss: Any) -> str:
    generator = torch.Generator().manual_seed(5)
    batch = toy_batch(batch=bench.count(loss), size=(12, 16), dtype=torch.float64)
    shape, kind = (len(batch), 1, 12, 16), bench.kind(loss)

    def drawn() -> Tensor:
        return 1 + 4 * torch.rand(shape, generator=generator, dtype=torch.float64)

    teachers = {f"teacher{i}": _Fixed(drawn(), kind) for i in range(max(1, loss.needs.teachers[0]))}
    depth = drawn()

    def value(at: Tensor, point: Point) -> Tensor:
        student = _Fixed(at, kind)
        ctx = FakeContext(batch=batch, student=student, teachers=teachers, task=bench.task(), owner=bench.owner)
        return _total(bench, loss, ctx.at(point))

    found = _Places()
    for point in POINTS:
        leaf = depth.clone().requires_grad_()
        total = value(leaf, point)
        if not total.requires_grad:
            continue
        (gradient,) = torch.autograd.grad(total, leaf)
        for place in torch.randperm(depth.numel(), generator=generator)[:_PIXELS].tolist():
            step = torch.zeros_like(depth)
            step.view(-1)[place] = STEP
            ends = value(depth - step, point).item(), total.item(), value(depth + step, point).item()
            found.add(point, ends, STEP, gradient.flatten()[place].item(), gradient.abs().max().item())
    return found.compare()


def _along_parameters(bench: LossBench, loss: Any) -> str:
    student = copy.deepcopy(bench.student(loss, dtype=torch.float64))
    batch = bench.batch(loss, dtype=torch.float64)
    if not bench.own.models:
        batch = toy_batch(batch=bench.count(loss), size=(16, 24), dtype=torch.float64)
    batch = replace(batch, intrinsics=None if batch.intrinsics is None else batch.intrinsics.double())
    parameters = [p for p in student.parameters() if p.requires_grad]
    length = STEP * min(1.0, (_PARAMETERS / sum(p.numel() for p in parameters)) ** 0.5)
    ctx = bench.context(loss, student=student, batch=batch, dtype=torch.float64)
    found, generator = _Places(), torch.Generator().manual_seed(6)

    def total(point: Point) -> Tensor:
        return _total(bench, loss, ctx.at(point, anew=True))

    def move(directions: list[Tensor], by: float) -> None:
        with torch.no_grad():
            for parameter, direction in zip(parameters, directions, strict=True):
                parameter.add_(direction, alpha=by)

    for point in POINTS:
        value = total(point)
        if not value.requires_grad:
            continue
        gradients = torch.autograd.grad(value, parameters, allow_unused=True)
        pairs = []
        for _ in range(_DIRECTIONS):
            directions = [torch.randn(p.shape, generator=generator, dtype=torch.float64) for p in parameters]
            move(directions, length)
            above = total(point).item()
            move(directions, -2 * length)
            below = total(point).item()
            move(directions, length)
            slope = sum(float((g * d).sum()) for g, d in zip(gradients, directions, strict=True) if g is not None)
            pairs.append(((below, value.item(), above), slope))
        for ends, slope in pairs:
            found.add(point, ends, length, slope, max(abs(other) for _, other in pairs))
    return found.compare()


class _Places:
    """What was measured and what the gradient says, place by place."""

    def __init__(self) -> None:
        self._rows: list[tuple[Point, float, float, bool]] = []

    def add(self, point: Point, ends: tuple[float, float, float], length: float, gradient: float,
            largest: float) -> None:
        """Take the values below, at and above one place.

        Agreement is 5 %, of the gradient, of the largest one there, or of how the slope changes from one side to the
        other: beside a minimum, what is left of a slope is curvature.
        """
        below, middle, above = ends
        measured, bend = (above - below) / (2 * length), abs(above + below - 2 * middle) / length
        off = abs(measured - gradient) > 0.05 * (abs(gradient) + largest + bend) + 1e-7
        self._rows.append((point, measured, gradient, not off))

    def compare(self) -> str:
        """Expect agreement at four of five places.

        Raises:
            Skip: there is nothing to compare.
        """
        if not self._rows:
            raise Skip("its terms carry no gradient")
        share = sum(agrees for *_, agrees in self._rows) / len(self._rows)
        point, measured, gradient, _ = max(self._rows, key=lambda row: (not row[3], abs(row[1] - row[2])))
        expect(share >= 0.8, f"the gradient is {gradient:.4g} where finite differences say {measured:.4g} at {point}; "
                             f"{share:.0%} of {len(self._rows)} places agree")
        return f"{share:.0%} of {len(self._rows)} agree"


def _total(bench: LossBench, loss: Any, ctx: FakeContext) -> Tensor:
    """Return the sum of the terms of a loss whose modules are float64 as well, as soon as it has them."""
    bench.built(loss, ctx)
    if isinstance(loss, nn.Module):
        loss.double()
    return bench.total(loss, ctx)
