"""A sound loss and a sound mixer that tests spoil."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from kdcli.maps import masked_mean
from kdcli.types import ANY_KIND, Batch, Needs


class Plain:
    """Mean squared difference of depth over the valid pixels."""

    api_version = 2
    needs = Needs(kinds=ANY_KIND)
    value_at_equality = 0.0
    invariances: frozenset[str] = frozenset()

    def terms(self, ctx: Any) -> Mapping[str, Tensor]:
        return {"gap": self.weight(ctx) * self.gap(ctx)}

    def gap(self, ctx: Any) -> Tensor:
        target, valid = ctx.target()
        return masked_mean((ctx.student.out.depth - target).square(), valid)

    def weight(self, ctx: Any) -> Any:
        return 1.0


class Dims:
    """A mixer that darkens images by a share of its own for each."""

    api_version = 2

    def mix(self, batch: Batch, ctx: Any) -> Batch:
        share = torch.rand(len(batch), 1, 1, 1, generator=ctx.generator, device=batch.image.device)
        return replace(batch, image=batch.image * share * self.weight(ctx))

    def weight(self, ctx: Any) -> Any:
        return 1.0
