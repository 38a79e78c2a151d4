"""Distillation of soft outputs: divergence between the distributions of teacher and student over depth bins.

Hinton, Vinyals, Dean, arXiv 1503.02531; the first of the nine methods of arXiv 2007.01922. Reconstruction: which nine
those are is not stated in what could be read of the study, and depth has no classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from kdcli.errors import SpecError
from kdcli.losses.base import prepare
from kdcli.maps import full_precision, masked_mean, widen
from kdcli.protocols import API_VERSION, StepContext
from kdcli.types import POSITIVE_DEPTH, Needs
from kdcli_zoo.shared.bins import StandIn, check_bins, log_centers, log_distribution, resample

LEAST = 1e-30
"""Smallest probability whose logarithm is taken."""


class Hinton:
    """Reconstruction: Hinton's KD (arXiv 1503.02531) as one of nine (2007.01922), with depth bins for classes.

    Where student and teacher have ``probs``: T^2 KL(teacher || student) of both distributions softened by
    ``temperature``, over the student's own centres, onto which the teacher's are resampled. A model without gets a
    stand-in: the student a bell of ``width`` in log depth, the teacher that or a two-hot (``form``). Stand-ins are not
    softened further. The factor T^2 makes up for gradients that fall with T; of a bell they fall with width^2, so that
    it is width^2 where the student is one, and 1 where a student's own bins meet a stand-in. Two bells give
    (l_t - l_s)^2 / 2, a squared error: there is nothing more to learn from a teacher that says one number.

    bins, near, far: of the grid, in metres, where neither model has bins and ``form`` is two-hot.
    """

    api_version: ClassVar[int] = API_VERSION
    needs = Needs(kinds=POSITIVE_DEPTH)
    invariances: frozenset[str] = frozenset()

    def __init__(
        self,
        *,
        temperature: float = 4.0,
        form: StandIn = "gaussian",
        width: float = 0.1,
        bins: int = 64,
        near: float = 0.1,
        far: float = 10.0,
    ) -> None:
        """Check the options.

        Raises:
            SpecError: one of them makes no sense.
        """
        if not 0 < temperature < math.inf:
            raise SpecError(f"temperature={temperature} must be above 0; for example 4")
        if form not in ("gaussian", "two-hot"):
            raise SpecError(f"form={form} is unknown; use gaussian or two-hot")
        check_bins(bins, width, near, far)
        self.temperature, self.form, self.width = temperature, form, width
        self.bins, self.near, self.far = bins, near, far
        # A bell never equals a two-hot, so that models without bins differ by that where they agree.
        self.value_at_equality = 0.0 if form == "gaussian" else math.nan
        self._asks = True

    def build(self, ctx: StepContext) -> None:
        """See once whether the teacher has a distribution: one that has none is not run where its depth is cached."""
        self._asks = ctx.teacher.out.probs is not None

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return the divergence, mean over the pixels on which the teacher has an opinion."""
        student, (target, valid) = ctx.student.out, ctx.target()
        with full_precision(target.device):
            mine, theirs, valid = prepare(student.depth, target, valid)
            own = _bins(student.probs, student.centers)
            said = ctx.teacher.out if self._asks else None
            other = None if said is None else _bins(said.probs, said.centers)
            return {"kl": masked_mean(self._map(mine, own, theirs, other), valid)}

    def _map(
        self, mine: Tensor, own: tuple[Tensor, Tensor] | None, theirs: Tensor, other: tuple[Tensor, Tensor] | None
    ) -> Tensor:
        """Return the divergence per pixel, B x 1 x h x w, of depths and of distributions where there are any."""
        if own is None and other is None and self.form == "gaussian":
            teacher, student = (values.clamp_min(1e-6).log() for values in (theirs, mine))
            return self.width**2 * between_bells(teacher, student, self.width)
        if own is not None:
            grid = own[1]
        elif other is not None:
            grid = other[1]
        else:
            grid = log_centers(self.near, self.far, self.bins, like=mine)
        if own is None:
            student = log_distribution(mine, grid, form="gaussian", width=self.width)
        else:
            student = own[0].clamp_min(LEAST).log()
        if other is None:
            teacher = log_distribution(theirs, grid, form=self.form, width=self.width)
        else:
            teacher = resample(_at_size(other[0].detach(), mine), other[1], grid).clamp_min(LEAST).log()
        if own is None:
            return self.width**2 * soft_kl(teacher, student)
        return soft_kl(teacher, student, 1.0 if other is None else self.temperature)


def soft_kl(teacher_logits: Tensor, student_logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Return T^2 KL(softmax(teacher / T) || softmax(student / T)) over dimension 1, which is kept with size 1.

    Logits or log probabilities B x K x ...; a number that is added to all K changes nothing.
    """
    target = (teacher_logits / temperature).log_softmax(1)
    logs = (student_logits / temperature).log_softmax(1)
    return temperature**2 * (target.exp() * (target - logs)).sum(1, keepdim=True)


def between_bells(teacher: Tensor, student: Tensor, width: float) -> Tensor:
    """Return the divergence of two bells of one width about two numbers, (t - s)^2 / (2 width^2)."""
    return (teacher - student).square() / (2 * width**2)


def _bins(probs: Tensor | None, centers: Tensor | None) -> tuple[Tensor, Tensor] | None:
    """Return a distribution B x K x h x w and the logarithms of its centres, K or B x K; None where there is none."""
    if probs is None or centers is None:
        return None
    return widen(probs), widen(centers).detach().clamp_min(1e-6).log()


def _at_size(probs: Tensor, like: Tensor) -> Tensor:
    size = (int(like.shape[-2]), int(like.shape[-1]))
    if tuple(probs.shape[-2:]) == size:
        return probs
    return functional.interpolate(probs, size=size, mode="bilinear", align_corners=False, antialias=True)
