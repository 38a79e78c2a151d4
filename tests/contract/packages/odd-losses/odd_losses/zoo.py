"""Two terms, and a word on where the run is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from kdcli.maps import masked_mean
from kdcli.protocols import API_VERSION, StepContext
from kdcli.types import ANY_KIND, Needs


class Zoo:
    """``part`` and ``rest``, each with a weight of its own if a recipe says so."""

    api_version: ClassVar[int] = API_VERSION
    needs = Needs(kinds=ANY_KIND)
    value_at_equality = 0.0
    invariances: frozenset[str] = frozenset()

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return the mean absolute and the mean squared difference."""
        ctx.note("step", ctx.step)
        ctx.note("batch", ctx.batch_number)
        target, valid = ctx.target()
        error = ctx.student.out.depth - target
        return {"part": masked_mean(error.abs(), valid), "rest": masked_mean(error.square(), valid)}
