"""How far each image's depth is from the teacher's: measured on the device from what a step has evaluated anyway."""

from __future__ import annotations

import torch
from torch import Tensor

from kdcli.maps import masked_mean
from kdcli.training.step.compared import compared
from kdcli.training.step.context import Context
from kdcli.types import DepthKind

FLOOR = 1e-6
"""What depth of 0 counts as before its logarithm is taken, and a map without any spread."""
_IMAGE = (1, 2, 3)


@torch.no_grad()
def distance_of(context: Context, *, truth: bool = False) -> Tensor | None:
    """Return the distance of student and teacher for each image of a batch, B; NaN where nothing is known of one.

    truth: also where no teacher was asked, of student and the data's own depth. None where there is nothing to compare.
    """
    maps = compared(context, truth=truth)
    return None if maps is None else apart(maps.said, maps.wanted, maps.valid, maps.kind)


def apart(student_B1hw: Tensor, teacher_B1hw: Tensor, valid_B1hw: Tensor, kind: DepthKind) -> Tensor:
    """Return the mean distance of two maps over the valid pixels of each image, B; NaN where there is none.

    Of depth the absolute difference of the logarithms, for ``scale_invariant`` about its mean; of kinds of unknown
    offset the absolute difference after each map is brought to mean 0 and mean absolute deviation 1.
    """
    valid = valid_B1hw & torch.isfinite(student_B1hw) & torch.isfinite(teacher_B1hw)
    if kind in (DepthKind.METRIC, DepthKind.SCALE_INVARIANT):
        gap = student_B1hw.clamp(min=FLOOR).log() - teacher_B1hw.clamp(min=FLOOR).log()
        if kind is DepthKind.SCALE_INVARIANT:
            gap = gap - _mean(gap, valid)
    else:
        gap = _standard(student_B1hw, valid) - _standard(teacher_B1hw, valid)
    mean_B = masked_mean(gap.abs(), valid, _IMAGE)
    return torch.where(valid.any(dim=3).any(dim=2).any(dim=1), mean_B, torch.nan)


def _standard(map_B1hw: Tensor, valid: Tensor) -> Tensor:
    centred = map_B1hw - _mean(map_B1hw, valid)
    return centred / _mean(centred.abs(), valid).clamp(min=FLOOR)


def _mean(map_B1hw: Tensor, valid: Tensor) -> Tensor:
    return masked_mean(map_B1hw, valid, _IMAGE).view(-1, 1, 1, 1)
