"""Similarities of the images of a batch, compared between student and teacher as probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from kdcli.maps import full_precision, widen
from kdcli.protocols import API_VERSION, StepContext
from kdcli.types import ANY_KIND, Needs


class Kernel:
    """Jeffreys divergence of cosine kernels at one tap; counts less with every epoch."""

    api_version: ClassVar[int] = API_VERSION
    value_at_equality = 0.0
    invariances: frozenset[str] = frozenset()

    def __init__(self, *, tap: str = "pre_head", decay: float = 0.7) -> None:
        self.tap, self.decay = tap, decay
        self.needs = Needs(kinds=ANY_KIND, student_taps=(tap,), teacher_taps=(tap,), min_batch=2)

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return the divergence of both kernels, with the weight of the epoch."""
        weight = self.decay**ctx.epoch
        ctx.note("weight", weight)
        with full_precision(ctx.batch.image.device):
            mine, theirs = _kernel(ctx.student.feat(self.tap)), _kernel(ctx.teacher.feat(self.tap).detach())
            return {"divergence": weight * ((mine - theirs) * (mine.log() - theirs.log())).mean()}


def _kernel(feature: Tensor) -> Tensor:
    """Return the share of every image in every image's similarities, B x B."""
    flat = functional.normalize(widen(feature).flatten(1), eps=1e-6)
    similar = (flat @ flat.T + 1) / 2 + 1e-6
    return torch.div(similar, similar.sum(dim=1, keepdim=True))
