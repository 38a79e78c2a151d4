"""An adversarial term: the student's depth is to pass for the teacher's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.maps import widen
from kdcli.protocols import API_VERSION, StepContext
from kdcli.types import POSITIVE_DEPTH, Needs


class Critic(nn.Module):
    """Two updates of a small discriminator before each of the student's."""

    api_version: ClassVar[int] = API_VERSION
    needs = Needs(kinds=POSITIVE_DEPTH)
    value_at_equality = float("nan")
    invariances: frozenset[str] = frozenset()
    inner_steps = 2

    def __init__(self, *, width: int = 4, rate: float = 1e-3) -> None:
        super().__init__()
        self.rate = rate
        self.judge = nn.Sequential(
            nn.Conv2d(1, width, 3, 2, 1), nn.Softplus(), nn.Conv2d(width, 1, 3, 2, 1)
        )

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return how little the student's depth passes for the teacher's."""
        return {"fooled": functional.softplus(-self._judged(ctx.student.out.depth)).mean()}

    def inner_parameters(self) -> Iterable[nn.Parameter]:
        """Return the discriminator's."""
        return self.judge.parameters()

    def inner_optimizer(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        """Make one with a memory of its own."""
        return torch.optim.RMSprop(parameters, lr=self.rate, momentum=0.5)

    def inner_loss(self, ctx: StepContext) -> Tensor:
        """Return how badly the two are told apart."""
        target, valid = ctx.target()
        real = self._judged(torch.where(valid, target, target.new_ones(())))
        made = self._judged(ctx.student.out.depth.detach())
        ctx.note("gap", (real.mean() - made.mean()).detach())
        return functional.softplus(-real).mean() + functional.softplus(made).mean()

    def _judged(self, depth: Tensor) -> Tensor:
        return self.judge(widen(depth).clamp_min(1e-3).log())  # type: ignore[no-any-return]
