"""Hints: an inner feature of the student, carried by a small regressor, is to be the teacher's.

Romero et al., "FitNets: hints for thin deep nets", arXiv 1412.6550; loss as ``HintLoss`` of RepDistiller (commit
b84f547). One of the nine methods of arXiv 2007.01922; reconstruction: which nine those are is not stated in what could
be read of the study.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from kdcli.maps import averaged_alike, full_precision, widen
from kdcli.protocols import API_VERSION, StepContext
from kdcli.types import ANY_KIND, Needs
from kdcli_zoo.shared.taps import paired


class FitNets(nn.Module):
    """Reconstruction: FitNets' hint (arXiv 1412.6550), one of nine (2007.01922): mean square of reg(F_s) - F_t.

    reg is a 1x1 convolution of the loss's own, made for the channels that are there; of two sizes the larger feature is
    averaged to the smaller. student_taps, teacher_taps: inner features, ``A|B`` for several, whose hints are summed.
    Meant for a first stage that trains the student up to the hint, before distillation on depth.
    """

    api_version: ClassVar[int] = API_VERSION
    value_at_equality = float("nan")
    """The regressor begins at random."""
    invariances: frozenset[str] = frozenset({"scale", "shift"})
    """Depth does not enter."""

    def __init__(self, *, student_taps: str = "enc4", teacher_taps: str = "enc4") -> None:
        """Check the options.

        Raises:
            SpecError: the features cannot be paired.
        """
        super().__init__()
        self.student_taps, self.teacher_taps = paired(student_taps, teacher_taps)
        self.needs = Needs(kinds=ANY_KIND, student_taps=self.student_taps, teacher_taps=self.teacher_taps)
        self.regressors = nn.ModuleList()

    def build(self, ctx: StepContext) -> None:
        """Make a regressor for each pair of features."""
        self.regressors = nn.ModuleList(
            nn.Conv2d(ctx.student.feat(mine).shape[1], ctx.teacher.feat(theirs).shape[1], 1)
            for mine, theirs in zip(self.student_taps, self.teacher_taps, strict=True)
        )

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return the sum of the hints."""
        with full_precision(ctx.batch.image.device):
            hints = [
                hint(regressor(widen(ctx.student.feat(mine))), ctx.teacher.feat(theirs).detach())
                for regressor, mine, theirs in zip(self.regressors, self.student_taps, self.teacher_taps, strict=True)
            ]
            return {"hint": sum(hints[1:], hints[0])}


def hint(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean square difference of features B x C x h x w, the larger averaged to the smaller."""
    mine, theirs = averaged_alike(student, teacher)
    return (mine - theirs).square().mean()
