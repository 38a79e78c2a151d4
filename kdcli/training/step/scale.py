"""How large the student's depth is beside its teacher's: measured on the device, read when a step is logged."""

from __future__ import annotations

import torch
from torch import Tensor

from kdcli.training.step.compared import compared
from kdcli.training.step.context import Context
from kdcli.types import POSITIVE_DEPTH, DepthKind

FLOOR = 1e-12
"""What a size of 0 counts as."""
FURTHEST = 80.0
"""Largest logarithm of a ratio that single precision tells from infinity."""


@torch.no_grad()
def scale_of(context: Context) -> Tensor | None:
    """Return the ratio of student to teacher, and how much it differs within the batch: two numbers on the device.

    Of each image the median of the student's depth over that of the teacher's, where both have an opinion; of kinds of
    unknown offset the ratio of their spreads (median distance from the median) instead. Over the batch the median of
    that, and the standard deviation of its logarithm. None where no teacher was asked, or the student was not.
    """
    maps = compared(context)
    if maps is None:
        return None
    own, theirs = (_size(one, maps.valid, maps.kind in POSITIVE_DEPTH) for one in (maps.said, maps.wanted))
    ratio_B = (own.clamp(min=FLOOR).log() - theirs.clamp(min=FLOOR).log()).clamp(-FURTHEST, FURTHEST)
    mean = ratio_B.nanmean()
    return torch.stack([ratio_B.nanquantile(0.5).exp(), (ratio_B - mean).square().nanmean().sqrt()])


@torch.no_grad()
def level_of(context: Context) -> float | None:
    """Return the median of the depth that the teachers say of a batch, whom this asks; None where they say nothing, or
    where the numbers of their kind have no level."""
    said = [
        depth[valid & torch.isfinite(depth) & (depth > 0)]
        for view in context.teachers.values()
        if DepthKind(str(view.model.depth_kind)) in POSITIVE_DEPTH
        for depth, valid in [context.target(view)]
    ]
    known = torch.cat(said) if said else torch.zeros(0)
    return float(known.median()) if len(known) else None


def _size(map_B1hw: Tensor, known: Tensor, positive: bool) -> Tensor:
    """Return how large each image's map is, B; not-a-number where nothing is known of it."""
    values = torch.where(known, map_B1hw, torch.nan).flatten(1)
    middle = values.nanquantile(0.5, dim=1)
    if positive:
        return middle
    return (values - middle[:, None]).abs().nanquantile(0.5, dim=1)
