"""A ring of embeddings of past images, to which those of the batch are compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from kdcli.maps import widen
from kdcli.protocols import API_VERSION, StepContext
from kdcli.types import POSITIVE_DEPTH, Needs

GRID = 4


class Bank:
    """The student is to resemble past images of the teacher as the teacher itself does."""

    api_version: ClassVar[int] = API_VERSION
    needs = Needs(kinds=POSITIVE_DEPTH)
    value_at_equality = 0.0
    invariances: frozenset[str] = frozenset()

    def __init__(self, *, places: int = 10) -> None:
        self.places = places

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return the mean squared difference of similarities."""
        target, valid = ctx.target()
        theirs = _embedded(torch.where(valid, target, target.new_ones(())))
        kept: Tensor | None = ctx.state.get("ring")
        ring = theirs if kept is None else torch.cat([theirs, kept.to(theirs)])
        mine = _embedded(torch.where(valid, ctx.student.out.depth, target.new_ones(())))
        return {"similarity": (mine @ ring.T - theirs @ ring.T).square().mean()}

    def after_step(self, ctx: StepContext) -> None:
        """Take the batch's images into the ring; the oldest ones leave."""
        target, valid = ctx.target()
        theirs = _embedded(torch.where(valid, target, target.new_ones(())))
        kept = ctx.state.get("ring")
        ring = theirs if kept is None else torch.cat([kept.to(theirs), theirs])
        ctx.state["ring"] = ring[-self.places :].clone()
        ctx.state["steps"] = [*ctx.state.get("steps", []), ctx.step]
        ctx.note("filled", min(len(ring), self.places) / self.places)


def _embedded(depth: Tensor) -> Tensor:
    """Return unit vectors of coarse, centred logarithms of depth, B x 16."""
    coarse = functional.adaptive_avg_pool2d(widen(depth).clamp_min(1e-3).log(), GRID).flatten(1)
    return functional.normalize(coarse - coarse.mean(dim=1, keepdim=True), eps=1e-3)
