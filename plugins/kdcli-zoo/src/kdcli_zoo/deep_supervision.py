"""Deep supervision (reconstruction): the teacher's depth and feature teach the student's shallow layers as well
(DSKD, arXiv 2202.07846)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.errors import SpecError
from kdcli.maps import full_precision, masked_mean, widen
from kdcli.protocols import API_VERSION, StepContext
from kdcli.types import POSITIVE_DEPTH, Needs
from kdcli_zoo.shared.branches import DepthBranch
from kdcli_zoo.shared.ranges import range_of
from kdcli_zoo.shared.taps import names

FLOOR = 1e-3
"""Metres below which depth counts as this before its logarithm is taken."""
Weights = Literal["proportional", "softmax", "inverse", "uniform"]


class DeepSupervision(nn.Module):
    """A reconstruction: sum_k w_k (mean |ln b_k - ln d_t| + beta |P_k F_k - F_t|^2) over branches b_k.

    Each of ``student_taps`` gets a light depth head b_k with a feature F_k, and a projection P_k to the channels of the
    teacher's feature F_t at ``teacher_tap``, which is brought to the tap's size and divided by its root mean square, so
    that beta does not depend on its scale. All of that belongs to the loss: the student is exported without.

    ``weights`` follow from the branches' own losses L_k and carry no gradient: ``proportional`` L_k / sum L (the worst
    branch learns most), ``softmax`` of L, ``inverse`` (the best one), ``uniform``. Which of these is the paper's cannot
    be told. Terms: ``branches`` and ``feature``, beta included.
    """

    api_version: ClassVar[int] = API_VERSION
    value_at_equality = math.nan
    invariances: frozenset[str] = frozenset()

    def __init__(
        self,
        *,
        student_taps: str = "enc1|enc2",
        teacher_tap: str = "pre_head",
        weights: Weights = "proportional",
        beta: float = 0.5,
        hidden: int = 32,
    ) -> None:
        """Take the options; layers are made once channels are known.

        Raises:
            SpecError: a value that makes no sense.
        """
        super().__init__()
        if not 0 <= beta < math.inf:
            raise SpecError(f"deep-supervision: beta={beta:g} must be a number that is not negative; for example 0.5")
        if not 1 <= hidden <= 1024:
            raise SpecError(f"deep-supervision: hidden={hidden} is no number of channels; use 1 to 1024, as 32")
        self._taps, self._tap = names(student_taps, "student_taps"), teacher_tap
        self._weights, self.beta, self._hidden = weights, beta, hidden
        self.branches, self.projections = nn.ModuleList(), nn.ModuleList()
        self.needs = Needs(kinds=POSITIVE_DEPTH, student_taps=self._taps, teacher_taps=(teacher_tap,))
        self.exempt = {} if weights == "uniform" else {
            "finite differences": "weights follow from the branches' losses and are held while these are differentiated"
        }

    def build(self, ctx: StepContext) -> None:
        """Make the branches, which begin at the depth that the teacher says of the batch."""
        low, high = range_of(ctx.teacher.model)
        depth, valid = ctx.target()
        middle = float(masked_mean(_log(torch.where(valid, depth, 1.0)), valid).exp())
        theirs = int(ctx.teacher.feat(self._tap).shape[1])
        for tap in self._taps:
            branch = DepthBranch(int(ctx.student.feat(tap).shape[1]), low, high, hidden=self._hidden)
            branch.begin_at(middle)
            self.branches.append(branch)
            # Without a weight the projection would have nothing to learn.
            self.projections.append(nn.Conv2d(self._hidden, theirs, 1) if self.beta else nn.Identity())

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return both kinds of losses, each the weighted sum over the branches."""
        target, valid = ctx.target()
        with full_precision(target.device):
            log_target = _log(torch.where(valid, target, 1.0))
            theirs = widen(ctx.teacher.feat(self._tap))
            theirs = theirs / theirs.square().mean().sqrt().clamp_min(1e-6)
            depths, features = [], []
            for tap, branch, projection in zip(self._taps, self.branches, self.projections, strict=True):
                depth, hidden = branch(ctx.student.feat(tap))
                depths.append(self._depth_loss(depth, log_target, valid))
                features.append(self._feature_loss(projection, hidden, theirs))
            depth_losses, feature_losses = torch.stack(depths), torch.stack(features)
            weights = allocation((depth_losses + feature_losses).detach(), self._weights)
        for number, tap in enumerate(self._taps):
            ctx.note(f"weight.{tap}", weights[number])
        return {"branches": (weights * depth_losses).sum(), "feature": (weights * feature_losses).sum()}

    @staticmethod
    def _depth_loss(depth: Tensor, log_target: Tensor, valid: Tensor) -> Tensor:
        fine = functional.interpolate(depth, size=log_target.shape[-2:], mode="bilinear", align_corners=False)
        return masked_mean((_log(fine) - log_target).abs(), valid)

    def _feature_loss(self, projection: nn.Module, hidden: Tensor, theirs: Tensor) -> Tensor:
        if not self.beta:
            return hidden.new_zeros(())
        size = (int(hidden.shape[-2]), int(hidden.shape[-1]))
        wanted = functional.adaptive_avg_pool2d(theirs, size)
        mine: Tensor = projection(hidden)
        return self.beta * (mine - wanted).square().mean()


def allocation(losses_K: Tensor, how: Weights) -> Tensor:
    """Return the branches' weights from their losses, K each; they sum to 1 and are equal for equal losses.

    Losses 1, 2, 5 give 0.125, 0.25, 0.625 (``proportional``), 0.017, 0.047, 0.936 (``softmax``).
    """
    if how == "softmax":
        return losses_K.softmax(0)
    if how == "uniform":
        return torch.full_like(losses_K, 1 / len(losses_K))
    kept = losses_K.clamp_min(torch.finfo(losses_K.dtype).tiny ** 0.25)  # all 0: equal
    share = kept if how == "proportional" else 1 / kept
    return share / share.sum()


def _log(depth: Tensor) -> Tensor:
    return widen(depth).clamp_min(FLOOR).log()
