"""Looks at labels alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from kdcli.maps import masked_mean
from kdcli.protocols import API_VERSION, StepContext
from kdcli.types import POSITIVE_DEPTH, Needs


class LabelledOnly:
    """The data's own depth where there is any; with ``silent`` no term at all where there is none."""

    api_version: ClassVar[int] = API_VERSION
    needs = Needs(kinds=POSITIVE_DEPTH, teachers=(0, None))
    value_at_equality = float("nan")
    invariances: frozenset[str] = frozenset()

    def __init__(self, *, silent: bool = False) -> None:
        self.silent = silent

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return the mean difference over labelled pixels, 0 where there are none."""
        truth, known = ctx.truth()
        ctx.note("labelled", known.float().mean())
        if self.silent and not bool(known.any()):
            return {}
        return {"truth": masked_mean((ctx.student.out.depth - truth).abs(), known)}
