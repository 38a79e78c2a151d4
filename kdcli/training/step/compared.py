"""The student's depth beside what it should be, from what a step has evaluated anyway."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kdcli.training.step.context import Context
from kdcli.types import DepthKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Two maps at the student's resolution, B x 1 x h x w float32 without gradient; where both count, and what the
    wanted one means."""

    said: Tensor
    wanted: Tensor
    valid: Tensor
    kind: DepthKind


def compared(context: Context, *, truth: bool = False) -> Compared | None:
    """Return student and teacher; None where nobody asked one of the two: nothing is evaluated for this.

    The first teacher counts that was asked, or whose depth was kept; where there is none, with ``truth``, the data's
    own depth.
    """
    if not context.student.evaluated:
        return None
    teacher = next((v for v in context.teachers.values() if v.taught is not None or v.evaluated), None)
    if teacher is not None:
        (wanted, known), kind = context.target(teacher), DepthKind(str(teacher.model.depth_kind))
    elif truth:
        (wanted, known), kind = context.truth(), DepthKind.METRIC
    else:
        return None
    out = context.student.out
    said, wanted = out.depth.detach().float(), wanted.float()
    valid = known & torch.isfinite(said) & torch.isfinite(wanted)
    if out.valid is not None:
        valid = valid & out.valid.to(torch.bool)
    return Compared(said=said, wanted=wanted, valid=valid, kind=kind)
