"""Residual KD (Gao et al., arXiv 2002.09168), reconstruction: what the student gets wrong, an assistant learns.

``ResidualPair`` is the student: a base network and an assistant that are deployed together. ``ResidualError`` is the
loss that teaches the base the teacher's feature, and then the assistant what is missing to it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor, nn

from kdcli.errors import SpecError
from kdcli.maps import at_size, full_precision, masked_mean, widen
from kdcli.protocols import API_VERSION
from kdcli.types import POSITIVE_DEPTH, Needs, Prediction
from kdcli_zoo.residual_pair import FEATURE, FLOOR, Form, ResidualPair, resized

if TYPE_CHECKING:
    from kdcli.protocols import StepContext

__all__ = ["ResidualError", "ResidualPair", "apart"]


class ResidualError(nn.Module):
    """Reconstruction of Residual KD's loss, for a student of two halves (``residual``).

    ``part=base``: D(r(F_S), F_T), the base's feature against the teacher's. ``part=assistant``: D(r(F_A), F_T -
    r(F_S)), what the assistant adds against what is missing to the base, which gets no gradient. D is the mean square
    over that of F_T. r is a convolution 1x1 without bias from the student's channels to the teacher's, learned with the
    base: a linear map, so that the residual keeps its meaning behind it. Freeze ``student.base`` and this loss in the
    assistant's stage.

    ``form=log-depth`` is for a student of that form: F are logarithms of depth and r is the identity.
    ``teacher_tap`` is the teacher's feature.
    """

    api_version: ClassVar[int] = API_VERSION
    value_at_equality = math.nan
    invariances: frozenset[str] = frozenset()

    def __init__(
        self, *, part: Literal["base", "assistant"] = "assistant", form: Form = "feature", teacher_tap: str = FEATURE
    ) -> None:
        """Choose the half that learns.

        Raises:
            SpecError: a half or form that there is not.
        """
        super().__init__()
        if part not in ("base", "assistant"):
            raise SpecError(f"residual: part={part} is unknown; use base or assistant")
        if form not in ("feature", "log-depth"):
            raise SpecError(f"residual: form={form} is unknown; use feature or log-depth")
        if not teacher_tap:
            raise SpecError("residual: teacher_tap is empty; name a feature of the teacher, for example pre_head")
        self.part, self.form, self.teacher_tap = part, form, teacher_tap
        self.needs = Needs(
            kinds=POSITIVE_DEPTH, student_taps=("halves",),
            teacher_taps=(teacher_tap,) if form == "feature" else (),
        )
        self.exempt = {} if part == "base" else {
            "finite differences": "the base is what the assistant adds to: its feature is seen without gradient",
        }
        self.regressor: nn.Module = nn.Identity()

    def build(self, ctx: StepContext) -> None:
        """Make r for the channels of the two features."""
        if self.form == "feature":
            mine, theirs = ctx.student.feat("halves"), ctx.teacher.feat(self.teacher_tap)
            made = nn.Conv2d(int(mine.shape[1]) // 2, int(theirs.shape[1]), 1, bias=False)
            self.regressor = made.to(widen(mine))

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return ``feature`` or ``residual``."""
        mine, added = widen(ctx.student.feat("halves")).chunk(2, dim=1)
        with full_precision(mine.device):
            theirs, valid = self._theirs(ctx, mine)
            if self.part == "base":
                return {"feature": apart(self._mapped(mine), theirs, theirs, valid)}
            missing = theirs - self._mapped(mine.detach()).detach()
            return {"residual": apart(self._mapped(added), missing, theirs, valid)}

    def _mapped(self, feature: Tensor) -> Tensor:
        mapped: Tensor = self.regressor(feature)
        return mapped

    def _theirs(self, ctx: StepContext, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return the teacher's feature, or log depth, at the size of the student's, and where it is known."""
        size = (int(like.shape[-2]), int(like.shape[-1]))
        if self.form == "feature":
            feature = resized(widen(ctx.teacher.feat(self.teacher_tap)).detach(), like)
            return feature, torch.ones_like(feature[:, :1], dtype=torch.bool)
        target, valid = ctx.target()
        if tuple(target.shape[-2:]) != size:
            target, valid = at_size(Prediction(depth=target, kind=ctx.student.out.kind, valid=valid), size)
        return torch.where(valid, target, 1.0).clamp_min(FLOOR).log(), valid


def apart(mine: Tensor, theirs: Tensor, whole: Tensor, valid: Tensor) -> Tensor:
    """Return the mean square of ``mine - theirs`` over that of ``whole``, the teacher's; B x C x h x w each.

    Over valid pixels of the batch; 0 where there are none. For a residual ``theirs`` is what is missing of ``whole``.
    """
    gap = masked_mean((mine - theirs).square().mean(dim=1, keepdim=True), valid)
    level = masked_mean(whole.square().mean(dim=1, keepdim=True), valid)
    return gap / level.clamp_min(1e-6)
