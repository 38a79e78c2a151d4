"""What the assistant learns from: the difference of the big teacher and the base, in the logarithm of depth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from kdcli.maps import at_size, masked_mean
from kdcli.protocols import API_VERSION, StepContext
from kdcli.types import POSITIVE_DEPTH, Needs, Prediction


class ResidualError:
    """``teacher=BIG|BASE``: the first one's depth minus the second one's, for the tap ``assistant`` to say."""

    api_version: ClassVar[int] = API_VERSION
    needs = Needs(kinds=POSITIVE_DEPTH, teachers=(2, 2), student_taps=("assistant",))
    value_at_equality = float("nan")
    invariances: frozenset[str] = frozenset()

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return the mean absolute difference."""
        (big, known), (base, also) = (ctx.target(view) for view in ctx.teachers.values())
        said = ctx.student.feat("assistant").mean(dim=1, keepdim=True)
        wanted = big.clamp_min(1e-3).log() - base.clamp_min(1e-3).log()
        if said.shape[-2:] != wanted.shape[-2:]:
            size = (int(wanted.shape[-2]), int(wanted.shape[-1]))
            said, _ = at_size(Prediction(depth=said, kind=ctx.student.out.kind), size)
        return {"error": masked_mean((said - wanted).abs(), known & also)}
