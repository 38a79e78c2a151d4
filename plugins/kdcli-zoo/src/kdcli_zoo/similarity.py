"""Similarity: what is alike to the teacher is to be alike to the student.

Tung, Mori, "Similarity-preserving knowledge distillation", arXiv 1907.09682; loss as ``Similarity`` of RepDistiller
(commit b84f547). One of the nine methods of arXiv 2007.01922; reconstruction: which nine those are is not stated in
what could be read of the study.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from torch import Tensor
from torch.nn import functional

from kdcli.errors import SpecError
from kdcli.maps import full_precision, widen
from kdcli.protocols import API_VERSION, StepContext
from kdcli.types import ANY_KIND, Needs
from kdcli_zoo.shared.taps import paired
from kdcli_zoo.shared.tokens import check_grid, tokens

Samples = Literal["cells", "images"]


class Similarity:
    """Reconstruction: similarity-preserving KD (arXiv 1907.09682), one of nine (2007.01922): |R_s - R_t|^2 / N^2.

    R is the N x N matrix of products of the samples' features, its rows brought to length 1: a factor on the features
    and a rotation of them change nothing, and the numbers of channels need not be the same. ``samples=cells``: means
    over the cells of a grid x grid raster over each image, since depth is trained on fewer images than classes are;
    ``samples=images``: whole images with all places side by side, as published. student_taps, teacher_taps: ``A|B`` for
    several, which are summed.
    """

    api_version: ClassVar[int] = API_VERSION
    value_at_equality = 0.0
    invariances: frozenset[str] = frozenset({"scale", "shift"})
    """Depth does not enter."""
    exempt: ClassVar[Mapping[str, str]] = {
        "duplicated batch": "the rows of a batch twice as large have length 1 as well, so that its entries are smaller"
    }

    def __init__(
        self, *, student_taps: str = "pre_head", teacher_taps: str = "pre_head", samples: Samples = "cells",
        grid: int = 4,
    ) -> None:
        """Check the options.

        Raises:
            SpecError: the features cannot be paired, a grid that is none, or samples of another kind.
        """
        self.student_taps, self.teacher_taps = paired(student_taps, teacher_taps)
        check_grid(grid)
        if samples not in ("cells", "images"):
            raise SpecError(f"samples={samples} is unknown; use cells or images")
        self.samples, self.grid = samples, grid
        alone = samples == "cells" and grid > 1
        self.needs = Needs(
            kinds=ANY_KIND, student_taps=self.student_taps, teacher_taps=self.teacher_taps, min_batch=1 if alone else 2
        )

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return the sum over features."""
        with full_precision(ctx.batch.image.device):
            found = [
                similarity(self._rows(ctx.student.feat(mine)), self._rows(ctx.teacher.feat(theirs).detach()))
                for mine, theirs in zip(self.student_taps, self.teacher_taps, strict=True)
            ]
            return {"similarity": sum(found[1:], found[0])}

    def _rows(self, feature: Tensor) -> Tensor:
        return tokens(feature, self.grid) if self.samples == "cells" else widen(feature).flatten(1)


def similarity(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean square difference of both similarity matrices; N samples in rows, N x C and N x D."""
    return (alike(student) - alike(teacher)).square().mean()


def alike(rows: Tensor) -> Tensor:
    """Return the products of N rows with one another, N x N, each row of length 1; 0 where a sample is 0."""
    return functional.normalize(rows @ rows.T)
