"""Compare a loss's gradient with finite differences, in float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from kdcli.testing.context import FakeContext, fake_context
from kdcli.testing.report import Skip, expect
from kdcli.testing.toys import ToyDepth, toy_batch
from kdcli.types import DepthKind, Needs, Prediction, Tap

STEP = 1e-3
"""Of the central difference: small beside a depth, large beside what a loss that computes in float32 rounds away."""
_PIXELS = 24


def check_differences(make: Callable[[], Any], built: Callable[[Any, FakeContext], Any]) -> str:
    """Expect agreement at four of five places; a kink, or a statistic that is detached on purpose, may spoil a few.

    make: returns a fresh loss. built: lets it make its own modules for a context. A loss on depth alone is tried pixel
    by pixel, one that looks at features or distributions along random directions of the student's parameters.
    """
    loss = make()
    needs: Needs = loss.needs
    if needs.outputs or needs.student_taps or needs.input_gradient != "none" or needs.batch_norm:
        return _along_parameters(loss, needs, built)
    return _by_pixel(loss, needs, built)


class _Fixed(nn.Module):
    """A model that answers with the same depth whatever it is shown."""

    def __init__(self, depth: Tensor, kind: DepthKind) -> None:
        super().__init__()
        self.depth, self.depth_kind, self.depth_range = depth, kind, (0.1, 100.0)
        self.taps: dict[str, Tap] = {}

    def forward(self, image: Tensor) -> Prediction:
        return Prediction(depth=self.depth, kind=self.depth_kind)


def _by_pixel(loss: Any, needs: Needs, built: Callable[[Any, FakeContext], Any]) -> str:
    generator = torch.Generator().manual_seed(5)
    batch = toy_batch(batch=max(2, needs.min_batch), size=(12, 16), dtype=torch.float64)
    shape = (len(batch), 1, 12, 16)
    kind = DepthKind.METRIC if DepthKind.METRIC in needs.kinds else min(needs.kinds)
    teachers = {
        f"teacher{i}": _Fixed(1 + 4 * torch.rand(shape, generator=generator, dtype=torch.float64), kind)
        for i in range(max(1, needs.teachers[0]))
    }
    depth = 1 + 4 * torch.rand(shape, generator=generator, dtype=torch.float64)

    def value(at: Tensor) -> Tensor:
        ctx = fake_context(batch=batch, student=_Fixed(at, kind), teachers=teachers)
        return _total(built(_double(loss), ctx), ctx)

    leaf = depth.clone().requires_grad_()
    total = value(leaf)
    if not total.requires_grad:
        raise Skip("its terms carry no gradient")
    (gradient,) = torch.autograd.grad(total, leaf)
    places = torch.randperm(depth.numel(), generator=generator)[:_PIXELS].tolist()
    found = []
    for place in places:
        step = torch.zeros_like(depth)
        step.view(-1)[place] = STEP
        found.append(((value(depth + step) - value(depth - step)) / (2 * STEP)).item())
    return _compare(torch.tensor(found), gradient.flatten()[places].float(), gradient.abs().max().item())


def _along_parameters(loss: Any, needs: Needs, built: Callable[[Any, FakeContext], Any]) -> str:
    taps = (*needs.student_taps, *needs.teacher_taps)
    kind = DepthKind.METRIC if DepthKind.METRIC in needs.kinds else min(needs.kinds)
    student = ToyDepth(seed=1, taps=taps, kind=kind).double().eval()
    batch = toy_batch(batch=max(2, needs.min_batch), size=(16, 24), dtype=torch.float64)
    batch = replace(batch, intrinsics=None if batch.intrinsics is None else batch.intrinsics.double())
    parameters = [p for p in student.parameters() if p.requires_grad]

    def value() -> Tensor:
        ctx = fake_context(batch=batch, student=student, teachers=max(1, needs.teachers[0]), taps=taps, kind=kind,
                           dtype=torch.float64)
        return _total(built(_double(loss), ctx), ctx)

    total = value()
    if not total.requires_grad:
        raise Skip("its terms carry no gradient")
    gradients = torch.autograd.grad(total, parameters, allow_unused=True)
    generator = torch.Generator().manual_seed(6)
    found, expected = [], []
    for _ in range(5):
        directions = [torch.randn(p.shape, generator=generator, dtype=torch.float64) for p in parameters]
        ends = []
        for sign in (1, -2):
            with torch.no_grad():
                for parameter, direction in zip(parameters, directions, strict=True):
                    parameter.add_(direction, alpha=sign * STEP)
            ends.append(value().item())
        with torch.no_grad():
            for parameter, direction in zip(parameters, directions, strict=True):
                parameter.add_(direction, alpha=STEP)
        found.append((ends[0] - ends[1]) / (2 * STEP))
        expected.append(sum(float((g * d).sum()) for g, d in zip(gradients, directions, strict=True) if g is not None))
    size = max(map(abs, expected))
    return _compare(torch.tensor(found), torch.tensor(expected), size)


def _compare(found: Tensor, expected: Tensor, size: float) -> str:
    """Expect two lists of derivatives to agree within 5 %, or 5 % of the largest, at four of five places."""
    off = (found - expected).abs() > 0.05 * expected.abs() + 0.05 * size + 1e-7
    share = 1 - off.float().mean().item()
    worst = int((found - expected).abs().argmax())
    expect(share >= 0.8, f"the gradient is {expected[worst].item():.4g} where finite differences say "
                         f"{found[worst].item():.4g}; {share:.0%} of {len(found)} places agree")
    return f"{share:.0%} of {len(found)} agree"


def _double(loss: Any) -> Any:
    return loss.double() if isinstance(loss, nn.Module) else loss


def _total(loss: Any, ctx: FakeContext) -> Tensor:
    terms = list(_double(loss).terms(ctx).values())
    return torch.stack(terms).sum() if terms else ctx.batch.image.new_zeros(())
