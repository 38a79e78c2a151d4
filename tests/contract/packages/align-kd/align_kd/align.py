"""Adapters that bring the features of teachers into one space, and a student that learns how images relate there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.maps import widen
from kdcli.protocols import API_VERSION, StepContext
from kdcli.types import ANY_KIND, Needs

TAP = "pre_head"


class Align(nn.Module):
    """``phase=teachers``: the adapters learn. ``phase=student``: the student learns from what they say."""

    api_version: ClassVar[int] = API_VERSION
    value_at_equality = float("nan")
    invariances: frozenset[str] = frozenset()

    def __init__(self, *, phase: Literal["teachers", "student"] = "student", channels: int = 6) -> None:
        super().__init__()
        self.phase, self.channels = phase, channels
        self.adapters = nn.ModuleList()
        self.needs = Needs(
            kinds=ANY_KIND, student_taps=(TAP,), teacher_taps=(TAP,), teachers=(1, None), min_batch=3
        )
        self.centre: Tensor

    def build(self, ctx: StepContext) -> None:
        """Make an adapter for each teacher, and take the student's features before it learns as their centre."""
        self.register_buffer("centre", widen(ctx.student.feat(TAP)).mean(dim=(0, 2, 3)))
        widths = [view.feat(TAP).shape[1] for view in ctx.teachers.values()]
        made = [nn.Sequential(nn.Conv2d(width, self.channels, 1), nn.BatchNorm2d(self.channels)) for width in widths]
        self.adapters = nn.ModuleList(made)

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return how far teachers are apart, or how differently the student relates its images."""
        ctx.state["batches"] = ctx.state.get("batches", 0) + 1
        ctx.note("batches", ctx.state["batches"])
        adapted = [
            adapter(widen(view.feat(TAP))).mean(dim=(2, 3))
            for adapter, view in zip(self.adapters, ctx.teachers.values(), strict=True)
        ]
        joint = torch.stack(adapted).mean(dim=0)
        if self.phase == "teachers":
            apart = [1 - functional.cosine_similarity(one, joint.detach()).mean() for one in adapted]
            return {"apart": torch.stack(apart).mean()}
        mine = widen(ctx.student.feat(TAP)).mean(dim=(2, 3)) - self.centre
        return {"relations": (_relations(mine) - _relations(joint)).square().mean()}


def _relations(vectors: Tensor) -> Tensor:
    unit = functional.normalize(vectors, eps=1e-6)
    return unit @ unit.T
