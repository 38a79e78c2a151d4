"""How large the student's depth is beside its teacher's: measured on the device, read when a step is logged."""

from __future__ import annotations

import torch
from torch import Tensor

from kdcli.training.step.context import Context
from kdcli.types import POSITIVE_DEPTH, DepthKind

FLOOR = 1e-12
"""What a size of 0 counts as."""
FURTHEST = 80.0
"""Largest logarithm of a ratio that single precision tells from infinity."""


@torch.no_grad()
def scale_of(context: Context) -> Tensor | None:
    """Return the ratio of student to teacher, and how much it differs within the batch: two numbers on the device.

    Of each image the median of the student's depth over that of the teacher's, where the teacher has an opinion; of
    kinds of unknown offset the ratio of their spreads (median distance from the median) instead. Over the batch the
    median of that, and the standard deviation of its logarithm. The first teacher counts that was asked, or whose depth
    was kept; None where there is none: nothing is evaluated for this.
    """
    asked = (view for view in context.teachers.values() if view.taught is not None or view.evaluated)
    teacher = next(asked, None)
    if teacher is None or not context.student.evaluated:
        return None
    wanted, known = context.target(teacher)
    said = context.student.out
    depth = said.depth.detach().float()
    known = known & torch.isfinite(depth) & torch.isfinite(wanted)
    if said.valid is not None:
        known = known & said.valid.to(torch.bool)
    positive = DepthKind(str(teacher.model.depth_kind)) in POSITIVE_DEPTH
    own, theirs = (_size(one, known, positive) for one in (depth, wanted.float()))
    ratio_B = (own.clamp(min=FLOOR).log() - theirs.clamp(min=FLOOR).log()).clamp(-FURTHEST, FURTHEST)
    mean = ratio_B.nanmean()
    return torch.stack([ratio_B.nanquantile(0.5).exp(), (ratio_B - mean).square().nanmean().sqrt()])


def _size(map_B1hw: Tensor, known: Tensor, positive: bool) -> Tensor:
    """Return how large each image's map is, B; not-a-number where nothing is known of it."""
    values = torch.where(known, map_B1hw, torch.nan).flatten(1)
    middle = values.nanquantile(0.5, dim=1)
    if positive:
        return middle
    return (values - middle[:, None]).abs().nanquantile(0.5, dim=1)
