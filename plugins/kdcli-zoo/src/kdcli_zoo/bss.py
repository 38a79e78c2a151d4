"""Distillation at pushed images: the student is also taught where it disagrees with its teacher most.

Heo, Lee, Yun, Choi, "Knowledge distillation with adversarial samples supporting decision boundary", arXiv 1805.05532;
one of the nine methods of arXiv 2007.01922. Reconstruction: which nine those are is not stated in what could be read
of the study, and there is no decision boundary in regression.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor

from kdcli.errors import SpecError
from kdcli.losses.base import prepare
from kdcli.maps import full_precision, masked_mean
from kdcli.protocols import API_VERSION, StepContext
from kdcli.types import POSITIVE_DEPTH, Batch, Needs
from kdcli_zoo.shared.reading import read_at

Measure = Literal["log-l1", "log-l2"]
MOST_IMAGES = 64
"""As many as the authors push of a batch."""
FLOOR = 1e-3
"""Metres below which depth counts as this much."""


class Bss:
    """Reconstruction: boundary supporting samples (arXiv 1805.05532), one of nine (2007.01922), without a boundary.

    A classifier's samples are pushed over the teacher's decision boundary. Regression has none, so some images are
    pushed uphill on the disagreement of teacher and student: each of ``pushes`` moves an image along the gradient of
    its disagreement by ``step``, the root mean square over its values in 0..1, and clips it to 0..1. Student and
    teacher are then compared there. Terms: ``kd``, the disagreement on the batch, times a factor that falls from 4 to
    1 over the stage; ``pushed``, that on pushed images, times one that falls from 2 to 0 at 75 % of it, when no more
    images are pushed.

    measure: ``log-l1``, mean |l_t - l_s| of logarithms of depth, or ``log-l2``, half the mean square, the divergence of
    two bells. images: at most so many are pushed, those with the least disagreement, as the authors take samples that
    both classify rightly. The authors' 10 pushes of 0.3, in units of the distance to the boundary, mean nothing here.
    """

    api_version: ClassVar[int] = API_VERSION
    needs = Needs(kinds=POSITIVE_DEPTH, input_gradient="both")
    value_at_equality = 0.0
    invariances: frozenset[str] = frozenset()

    def __init__(
        self, *, pushes: int = 2, step: float = 0.02, images: int = 8, measure: Measure = "log-l1"
    ) -> None:
        """Check the options.

        Raises:
            SpecError: one of them makes no sense.
        """
        if not 1 <= pushes <= 100:
            raise SpecError(f"pushes={pushes} is no number of pushes; use 1 to 100, for example 2")
        if not 0 < step <= 1:
            raise SpecError(f"step={step} must be above 0 and at most 1, a share of an image's range; for example 0.02")
        if not 1 <= images <= MOST_IMAGES:
            raise SpecError(f"images={images} is no number of images to push; use 1 to {MOST_IMAGES}")
        if measure not in ("log-l1", "log-l2"):
            raise SpecError(f"measure={measure} is unknown; use log-l1 or log-l2")
        self.pushes, self.step, self.images = pushes, step, images
        self.measure: Measure = measure

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return both terms with their factors."""
        plain, later = kd_factor(ctx.progress), bss_factor(ctx.progress)
        target, valid = ctx.target()
        with full_precision(target.device):
            apart, known = disagreement(ctx.student.out.depth, target, valid, self.measure)
        kd = plain * masked_mean(apart, known)
        if later == 0:
            return {"kd": kd, "pushed": torch.zeros_like(kd)}
        each = masked_mean(apart.detach(), known, (1, 2, 3))
        chosen = each.topk(min(self.images, len(each)), largest=False, sorted=True).indices
        before, (image, cameras) = each[chosen].mean(), _some(ctx.batch, chosen)
        pushed = self.push(ctx, image, cameras)
        after = masked_mean(*self._apart(ctx, pushed, cameras, through_teacher=False))
        ctx.note("before", before)
        ctx.note("after", after)
        return {"kd": kd, "pushed": later * after}

    def push(self, ctx: StepContext, image: Tensor, intrinsics: Tensor | None = None) -> Tensor:
        """Return B x 3 x H x W moved uphill on each image's disagreement, in 0..1, without a graph.

        intrinsics: B x 4 of these images.
        """
        for _ in range(self.pushes):
            with torch.enable_grad():
                leaf = image.detach().requires_grad_()
                apart, known = self._apart(ctx, leaf, intrinsics, through_teacher=True)
                total = masked_mean(apart, known, (1, 2, 3)).sum()
                (slope,) = torch.autograd.grad(total, leaf)
            image = moved(image, slope, self.step)
        return image.detach()

    def _apart(
        self, ctx: StepContext, image: Tensor, intrinsics: Tensor | None, *, through_teacher: bool
    ) -> tuple[Tensor, Tensor]:
        mine = ctx.student.call(image)
        size = (int(mine.depth.shape[-2]), int(mine.depth.shape[-1]))
        said = ctx.teacher.call(image, gradient=through_teacher)
        with full_precision(image.device):
            target, valid = read_at(ctx.teacher.model, said, size, intrinsics)
            return disagreement(mine.depth, target, valid, self.measure, through_target=through_teacher)


def disagreement(
    student: Tensor, teacher: Tensor, valid: Tensor, measure: Measure, *, through_target: bool = False
) -> tuple[Tensor, Tensor]:
    """Return |l_t - l_s| or (l_t - l_s)^2 / 2 per pixel, of depths B x 1 x h x w in one unit, and where it counts."""
    mine, theirs, valid = prepare(student, teacher, valid)
    if through_target:  # prepare lets no gradient through
        theirs = torch.where(valid, teacher.to(mine.dtype), 1.0)
    apart = mine.clamp_min(FLOOR).log() - theirs.clamp_min(FLOOR).log()
    return (apart.abs() if measure == "log-l1" else apart.square() / 2), valid


def moved(image: Tensor, slope: Tensor, step: float) -> Tensor:
    """Return images in 0..1, moved along their slopes by a root mean square of ``step``; a slope of 0 moves nothing."""
    along = torch.where(torch.isfinite(slope), slope, 0.0)
    tiny = torch.finfo(along.dtype).tiny
    along = along / along.abs().amax((1, 2, 3), keepdim=True).clamp_min(tiny)  # so that no square is too small to tell
    length = along.square().mean((1, 2, 3), keepdim=True).sqrt().clamp_min(tiny)
    return (image + step * along / length).clamp(0, 1)


def kd_factor(progress: float) -> float:
    """Return the factor of the plain term: 4 at the start, 1 at the end, on a line."""
    return 4.0 - 3.0 * min(max(progress, 0.0), 1.0)


def bss_factor(progress: float) -> float:
    """Return the factor of the term on pushed images: 2 at the start, 0 from 75 % on, on a line."""
    return max(0.0, 2.0 * (1.0 - max(progress, 0.0) / 0.75))


def _some(batch: Batch, chosen: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return the chosen images and their cameras."""
    return batch.image[chosen], None if batch.intrinsics is None else batch.intrinsics[chosen]
