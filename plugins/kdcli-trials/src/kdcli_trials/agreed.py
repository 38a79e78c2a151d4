"""The teacher is trusted where it agrees with itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from kdcli.errors import SpecError
from kdcli.maps import at_size, full_precision, widen
from kdcli.protocols import API_VERSION, StepContext
from kdcli.types import POSITIVE_DEPTH, Needs

FLOOR = 1e-3
"""Metres below which depth counts as this before its logarithm is taken."""


class Agreed:
    """Mean of w |ln D_s - ln D_t| with w = exp(-|ln D_t - ln D_t'| / scale), D_t' the teacher's answer to the mirrored
    image, mirrored back."""

    api_version: ClassVar[int] = API_VERSION
    needs = Needs(kinds=POSITIVE_DEPTH, teacher_outputs=frozenset())
    value_at_equality = 0.0
    invariances: frozenset[str] = frozenset()

    def __init__(self, *, scale: float = 0.1) -> None:
        """Take the scale.

        Raises:
            SpecError: it is not positive.
        """
        if not scale > 0:
            raise SpecError(f"agreed: scale={scale:g} must be above 0; for example 0.1")
        self.scale = scale

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return the weighted mean."""
        target, valid = ctx.target()
        with torch.no_grad():
            size = (target.shape[-2], target.shape[-1])
            other, known = (one.flip(-1) for one in at_size(ctx.teacher.call(ctx.teacher.batch.image.flip(-1)), size))
        with full_precision(target.device):
            good = valid & known
            maps = (ctx.student.out.depth, target, other)
            said, wanted, again = (log(torch.where(good, depth, 1.0)) for depth in maps)
            weight = torch.exp(-(wanted - again).abs() / self.scale) * good
            return {"agreed": (weight * (said - wanted).abs()).sum() / weight.sum().clamp_min(1e-6)}


def log(depth: Tensor) -> Tensor:
    """Return the logarithm of depth in metres, from the floor on."""
    return widen(depth).clamp_min(FLOOR).log()
