"""Attention: where a network's features are large is where it looks, and the student is to look there too.

Zagoruyko, Komodakis, "Paying more attention to attention", arXiv 1612.03928; loss as ``Attention`` of RepDistiller
(commit b84f547). One of the nine methods of arXiv 2007.01922; reconstruction: which nine those are is not stated in
what could be read of the study.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from kdcli.maps import averaged, averaged_alike, full_precision, widen
from kdcli.protocols import API_VERSION, StepContext
from kdcli.types import ANY_KIND, Needs
from kdcli_zoo.shared.taps import paired
from kdcli_zoo.shared.tokens import check_grid


class Attention:
    """Reconstruction: attention transfer (arXiv 1612.03928), one of nine (2007.01922): mean square of A_s - A_t.

    A is the mean over channels of F^2, a vector over places of length 1 for each image: a positive factor, the order of
    the channels and any rotation of them change nothing, and the numbers of channels need not be the same. Of two sizes
    the larger feature is averaged to the smaller. student_taps, teacher_taps: ``A|B`` for several, which are summed.

    grid: 0 compares maps as they are; g averages them to g x g cells first, which makes the loss, a mean over places of
    a vector of length 1, independent of the size of the images.
    """

    api_version: ClassVar[int] = API_VERSION
    value_at_equality = 0.0
    invariances: frozenset[str] = frozenset({"scale", "shift"})
    """Depth does not enter."""

    def __init__(
        self, *, student_taps: str = "enc2|enc3|enc4", teacher_taps: str = "enc2|enc3|enc4", grid: int = 0
    ) -> None:
        """Check the options.

        Raises:
            SpecError: the features cannot be paired, or a grid that is none.
        """
        self.student_taps, self.teacher_taps = paired(student_taps, teacher_taps)
        if grid != 0:
            check_grid(grid)
        self.grid = grid
        self.needs = Needs(kinds=ANY_KIND, student_taps=self.student_taps, teacher_taps=self.teacher_taps)

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return the sum over features."""
        with full_precision(ctx.batch.image.device):
            found = [
                attention(ctx.student.feat(mine), ctx.teacher.feat(theirs).detach(), self.grid)
                for mine, theirs in zip(self.student_taps, self.teacher_taps, strict=True)
            ]
            return {"attention": sum(found[1:], found[0])}


def attention(student: Tensor, teacher: Tensor, grid: int = 0) -> Tensor:
    """Return the mean square difference of two attention vectors, of features B x C x h x w; see ``Attention``."""
    mine, theirs = averaged_alike(student, teacher)
    return (looks(mine, grid) - looks(theirs, grid)).square().mean()


def looks(feature: Tensor, grid: int = 0) -> Tensor:
    """Return where each image's feature is large, B x places, of length 1; 0 where it is 0 everywhere."""
    energy = widen(feature).square().mean(1, keepdim=True)
    if grid:
        energy = averaged(energy, grid, grid)
    return functional.normalize(energy.flatten(1))
