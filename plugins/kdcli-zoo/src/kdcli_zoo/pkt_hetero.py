"""PKT-H: relations between tokens, layer by layer, taught by a wider copy of the student (arXiv 2005.00727).

L(e) = J(last layer) + a_e (sum of J over the earlier layers), a_e = 100 * 0.7^e in epoch e: early layers count in the
critical period in which they form, and fade. J is the mean Jeffreys divergence of the cosine kernel plus that of the
Student-t kernel (``kdcli_zoo.shared.kernels``). An image is a sample in the paper, a cell of a grid over it here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from kdcli.errors import SpecError
from kdcli.maps import full_precision
from kdcli.protocols import API_VERSION, StepContext
from kdcli.types import ANY_KIND, Needs
from kdcli_zoo.shared.kernels import Divergence, Kernel, kernel_divergence
from kdcli_zoo.shared.taps import paired
from kdcli_zoo.shared.tokens import check_grid, tokens

TAPS = "enc2|enc3|enc4|enc5|pre_head"
"""Strides 4 to 32 of the networks here, and what the head sees."""


class PktHetero:
    """Relations between tokens of paired layers of student and teacher; the last pair always counts once.

    ``student_taps`` and ``teacher_taps`` name the layers, ``A|B``, the last layer last. ``grid`` x ``grid`` tokens an
    image. ``early`` and ``decay`` are the weight of the earlier layers at the start and what it is multiplied by in
    each of the ``epochs`` that a stage is divided into, since an endless source never comes to the end of one.
    ``kernel`` and ``divergence`` are the paper's; the others are those that its code compares with.
    """

    api_version: ClassVar[int] = API_VERSION
    invariances: frozenset[str] = frozenset()

    def __init__(
        self, *, student_taps: str = TAPS, teacher_taps: str = TAPS, grid: int = 3, early: float = 100.0,
        decay: float = 0.7, epochs: int = 50, kernel: Kernel = "combined", divergence: Divergence = "jeffreys",
    ) -> None:
        """Build it.

        Raises:
            SpecError: layers that cannot be paired, or a number out of range.
        """
        self.student_taps, self.teacher_taps = paired(student_taps, teacher_taps)
        check_grid(grid)
        if not 0 <= early < math.inf:
            raise SpecError(f"early={early} is no weight of the earlier layers; use 0 or more, for example 100")
        if not 0 < decay <= 1:
            raise SpecError(f"decay={decay} must be above 0 and at most 1, for example 0.7")
        if not 1 <= epochs <= 100_000:
            raise SpecError(f"epochs={epochs} is no number of parts of a stage; use 1 or more, for example 50")
        self.grid, self.early, self.decay, self.epochs = grid, early, decay, epochs
        self.kernel, self.divergence = kernel, divergence
        self.value_at_equality = math.nan if divergence == "kl" else 0.0
        self.exempt = (
            {"finite differences": "the width of the adaptive kernel carries no gradient, as in the authors' code"}
            if kernel == "adaptive-rbf" else {}
        )
        self.needs = Needs(
            kinds=ANY_KIND, student_taps=self.student_taps, teacher_taps=self.teacher_taps, min_batch=2,
        )

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return ``last``, and ``early`` with the weight of the epoch where there are earlier layers."""
        with full_precision(ctx.batch.image.device):
            apart = [
                self._apart(ctx.student.feat(mine), ctx.teacher.feat(theirs))
                for mine, theirs in zip(self.student_taps, self.teacher_taps, strict=True)
            ]
        *earlier, last = apart
        if not earlier:
            return {"last": last}
        weight = early_weight(ctx.progress, self.early, self.decay, self.epochs)
        ctx.note("early_weight", weight)
        return {"last": last, "early": weight * torch.stack(earlier).sum()}

    def _apart(self, student: Tensor, teacher: Tensor) -> Tensor:
        return kernel_divergence(
            tokens(student, self.grid), tokens(teacher.detach(), self.grid), kernel=self.kernel,
            divergence=self.divergence,
        )


def early_weight(progress: float, early: float, decay: float, epochs: int) -> float:
    """Return the weight of the earlier layers when a share of the stage, 0 to 1, is done: early * decay^epoch."""
    epoch = math.floor(progress * epochs + 1e-9)  # 0.58 * 50 is a little less than 29
    return float(early * decay**epoch)
