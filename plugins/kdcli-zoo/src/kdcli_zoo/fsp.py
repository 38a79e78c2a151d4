"""The flow between layers: how the channels of two layers go together is to be as in the teacher.

Yim et al., "A gift from knowledge distillation", CVPR 2017; loss as ``FSP`` of RepDistiller (commit b84f547). One of
the nine methods of arXiv 2007.01922; reconstruction: which nine those are is not stated in what could be read of the
study.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from kdcli.errors import SpecError
from kdcli.maps import averaged_alike, full_precision, widen
from kdcli.protocols import API_VERSION, StepContext
from kdcli.types import ANY_KIND, Needs
from kdcli_zoo.shared.taps import paired


class Fsp(nn.Module):
    """Reconstruction: FSP (Yim et al. 2017), one of nine (arXiv 2007.01922): mean square of G_s - G_t.

    G = F_1 F_2^T / (h w), C_1 x C_2, of two layers of one network; of two sizes the larger is averaged to the smaller.
    ``A|B|C`` names layers from fine to coarse; each and the next make a pair, and pairs are summed. The method asks for
    as many channels in the student as in the teacher; where they differ, 1x1 convolutions of the loss's own lead from
    the student's to the teacher's. Meant for a first stage, before distillation on depth.
    """

    api_version: ClassVar[int] = API_VERSION
    value_at_equality = 0.0
    invariances: frozenset[str] = frozenset({"scale", "shift"})
    """Depth does not enter."""

    def __init__(self, *, student_taps: str = "enc2|enc4", teacher_taps: str = "enc2|enc4") -> None:
        """Check the options.

        Raises:
            SpecError: the features cannot be paired, or there is one alone.
        """
        super().__init__()
        self.student_taps, self.teacher_taps = paired(student_taps, teacher_taps)
        if len(self.student_taps) < 2:
            raise SpecError(f"student_taps={student_taps} names one layer; a flow is between two, such as enc2|enc4")
        self.needs = Needs(kinds=ANY_KIND, student_taps=self.student_taps, teacher_taps=self.teacher_taps)
        self.projections = nn.ModuleList()

    def build(self, ctx: StepContext) -> None:
        """Make a projection for each layer whose channels are not the teacher's."""
        self.projections = nn.ModuleList(
            projection(ctx.student.feat(mine).shape[1], ctx.teacher.feat(theirs).shape[1])
            for mine, theirs in zip(self.student_taps, self.teacher_taps, strict=True)
        )

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return the sum over pairs of neighbouring layers."""
        with full_precision(ctx.batch.image.device):
            mine = [
                project(widen(ctx.student.feat(tap)))
                for project, tap in zip(self.projections, self.student_taps, strict=True)
            ]
            theirs = [ctx.teacher.feat(tap).detach() for tap in self.teacher_taps]
            flows = [fsp(*mine[i : i + 2], *theirs[i : i + 2]) for i in range(len(mine) - 1)]
            return {"flow": sum(flows[1:], flows[0])}


def fsp(student_fine: Tensor, student_coarse: Tensor, teacher_fine: Tensor, teacher_coarse: Tensor) -> Tensor:
    """Return the mean square difference of both networks' flow matrices; features B x C x h x w, C alike in pairs."""
    return (flow(student_fine, student_coarse) - flow(teacher_fine, teacher_coarse)).square().mean()


def flow(fine: Tensor, coarse: Tensor) -> Tensor:
    """Return how the channels of two layers go together, mean over places of their products, B x C_1 x C_2."""
    one, other = averaged_alike(fine, coarse)
    one, other = one.flatten(2), other.flatten(2)
    return one @ other.transpose(1, 2) / one.shape[-1]


def projection(student: int, teacher: int) -> nn.Module:
    """Return a 1x1 convolution from the student's channels to the teacher's; nothing where they are as many."""
    return nn.Identity() if student == teacher else nn.Conv2d(student, teacher, 1)
