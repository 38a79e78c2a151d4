"""RDD: the teacher says where to look, by weights on the task loss per pixel (arXiv 2407.03719)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.errors import SpecError
from kdcli.maps import at_size, full_precision, masked_mean, widen
from kdcli.protocols import API_VERSION, StepContext
from kdcli.types import DepthKind, Needs, Prediction
from kdcli_zoo import relative_difficulty as rd
from kdcli_zoo.shared.branches import DepthBranch
from kdcli_zoo.shared.ranges import range_of

FLOOR = 1e-3
"""Metres below which depth counts as this before its logarithm is taken."""
_STEPS = "steps"
"""Where ``ctx.state`` tells how often the auxiliary head was taught."""
METRES = frozenset({DepthKind.METRIC})


class Rdd(nn.Module):
    """Weights on the task loss by relative difficulty; no loss term of its own.

    Until ``switch``, a share of the stage, a pixel weighs exp(-D), D = |ln d - ln d'| between the teacher's depth and
    a second opinion of its own. From then on only pixels count that are hard for one of teacher and student and not for
    the other (``keep=xor``; ``or``, ``and``, ``student``): those whose ratio to the true depth is ``ratio`` and more,
    and at least the share ``least`` of all, the farthest off. With ``blend`` the second phase comes in gradually.

    ``second``: whose opinion that is. ``aux``: the teacher's auxiliary depth; ``head``: a depth head on the teacher's
    feature ``tap``, which a stage before this one taught (``phase=aux``, the student frozen; untaught it has no
    opinion, and the note ``taught`` is 0); ``flip``: the teacher on the mirrored image, an adaptation that needs
    neither; ``auto``: the first of these that there is.
    ``stand_in=gaussian``: D is the divergence of two bells of ``width`` in log depth.
    """

    api_version: ClassVar[int] = API_VERSION
    invariances: frozenset[str] = frozenset()

    def __init__(
        self,
        *,
        phase: Literal["weights", "aux"] = "weights",
        second: Literal["auto", "aux", "head", "flip"] = "auto",
        tap: str = "enc2",
        switch: float = 0.1,
        blend: bool = False,
        keep: rd.Kept = "xor",
        ratio: float = 1.25,
        least: float = 0.05,
        stand_in: Literal["ratio", "gaussian"] = "ratio",
        width: float = 0.1,
    ) -> None:
        """Take the options.

        Raises:
            SpecError: a value that makes no sense.
        """
        super().__init__()
        if phase == "aux" and second in ("aux", "flip"):
            raise SpecError(f"rdd: phase=aux teaches a head, but second={second} asks for none; leave second out")
        if not 0 <= switch < 1:
            raise SpecError(f"rdd: switch={switch:g} is no share of a stage; use 0 to below 1, for example 0.1")
        if not ratio > 1:
            raise SpecError(f"rdd: ratio={ratio:g} is no ratio from which a pixel is hard; use one above 1, as 1.25")
        if not 0 <= least <= 1:
            raise SpecError(f"rdd: least={least:g} is no share of the pixels; use 0 to 1, for example 0.05")
        if not 0 < width < math.inf:
            raise SpecError(f"rdd: width={width:g} must be above 0, in log depth; for example 0.1")
        self.phase, self.second, self.tap = phase, "head" if phase == "aux" else second, tap
        self.switch, self.blend, self.keep, self.border, self.least = switch, blend, keep, math.log(ratio), least
        self.stand_in, self.width = stand_in, width
        self.head: DepthBranch | None = None
        self.value_at_equality = 0.0 if phase == "weights" else math.nan
        self.needs = Needs(
            kinds=METRES, ground_truth=True, task_map=phase == "weights",
            teacher_taps=(tap,) if self.second in ("auto", "head") else (),
            teacher_outputs=frozenset({"aux"} if self.second == "aux" else ()),
        )
        self.exempt = {"terms": "its term teaches the auxiliary head, not the student"} if phase == "aux" else {}

    def build(self, ctx: StepContext) -> None:
        """Make the auxiliary head where the teacher has no auxiliary depth, or where one is asked for."""
        if self.second == "head" or (self.second == "auto" and not ctx.teacher.out.aux):
            channels = ctx.teacher.feat(self.tap).shape[1]
            self.head = DepthBranch(int(channels), *range_of(ctx.teacher.model)).requires_grad_(self.phase == "aux")

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return nothing; with ``phase=aux`` the head's mean |ln d - ln d*| against the data's depth."""
        if self.phase == "weights":
            return {}
        ctx.state[_STEPS] = ctx.state.get(_STEPS, 0) + 1
        truth, valid = ctx.truth()
        with full_precision(truth.device):
            depth = self._headed(ctx, truth)
            return {"aux": masked_mean((_log(depth) - _log(torch.where(valid, truth, 1.0))).abs(), valid)}

    def pixel_weight(self, ctx: StepContext) -> Tensor | None:
        """Return what each pixel's task loss counts for, B x 1 x h x w at the student's resolution."""
        if self.phase == "aux":
            return None
        share = rd.early_share(ctx.progress, self.switch, blend=self.blend)
        truth, valid = ctx.truth()  # looks at the student, which keeps its gradient for the task loss
        with torch.no_grad(), full_precision(truth.device):
            early, late = torch.ones_like(truth), torch.zeros_like(valid)
            if share > 0:
                early = self._agreement(ctx)
                if self.head is not None:
                    ctx.note("taught", ctx.state.get(_STEPS, 0))
                ctx.note("agreement", masked_mean(early, valid))
            if share < 1:
                late = self._kept(ctx, truth, valid)
                ctx.note("kept", late.sum() / valid.sum().clamp_min(1))
            # Only labelled pixels count, in both means.
            return rd.joined(torch.where(valid, early, 0.0), late, share)

    def _kept(self, ctx: StepContext, truth: Tensor, valid: Tensor) -> Tensor:
        target, known = ctx.target()
        valid = valid & known
        true = _log(torch.where(valid, truth, 1.0))
        least = (self.least * valid.sum()).round().long()
        found = [
            rd.hard((_log(torch.where(valid, depth, 1.0)) - true).abs(), valid, self.border, least)
            for depth in (ctx.student.out.depth, target)
        ]
        return rd.kept(found[0], found[1], self.keep)

    def _agreement(self, ctx: StepContext) -> Tensor:
        """Return exp(-D) of the teacher and its second opinion; 1 where either has none."""
        (depth, known), (other, also) = self._opinions(ctx)
        both = known & also
        mine, theirs = (torch.where(both, widen(one), 1.0).clamp_min(FLOOR) for one in (depth, other))
        if self.stand_in == "ratio":
            found = rd.agreement(mine, theirs)
        else:
            found = rd.gaussian_agreement(mine, theirs, self.width)
        return found.clamp_min(torch.finfo(found.dtype).tiny)  # at 0 a pixel would leave the mean

    def _opinions(self, ctx: StepContext) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Return the teacher's two maps at the student's resolution, each with where it has an opinion."""
        size = (int(ctx.student.out.depth.shape[-2]), int(ctx.student.out.depth.shape[-1]))
        how, view = self.second, ctx.teacher
        if how == "auto":
            how = "aux" if view.out.aux else "head" if ctx.state.get(_STEPS) else "flip"
        if how == "head":
            target, known = ctx.target()
            # One that nobody taught has no opinion; a run is tried before its first stage.
            taught = known if ctx.state.get(_STEPS) else torch.zeros_like(known)
            return (target, known), (self._headed(ctx, target), taught)
        if how == "aux":
            other = Prediction(depth=view.out.aux[0], kind=view.out.kind)
        else:
            said = view.call(ctx.batch.image.flip(-1), gradient=False)
            other = Prediction(
                depth=said.depth.flip(-1), kind=said.kind, valid=None if said.valid is None else said.valid.flip(-1)
            )
        return at_size(view.out, size), at_size(other, size)

    def _headed(self, ctx: StepContext, like: Tensor) -> Tensor:
        assert self.head is not None  # made by build
        depth, _ = self.head(ctx.teacher.feat(self.tap))
        return functional.interpolate(depth, size=like.shape[-2:], mode="bilinear", align_corners=False)


def _log(depth: Tensor) -> Tensor:
    return widen(depth).clamp_min(FLOOR).log()
